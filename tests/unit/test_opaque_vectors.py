"""RFC 9807, appendix C.1.1 (ristretto255, SHA-512): the parts of the library that no fresh randomness hides.

Two things follow from it: the 128 bytes of a setup are OPRF seed (64), private key (32), a public key (32), and
the credential identifier goes into the OPRF as its plain bytes.
"""

import opaque_ke_py
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

OPRF_SEED = bytes.fromhex(
    "f433d0227b0b9dd54f7c4422b600e764e47fb503f1f9a0f0a47c6606b054a7fdc65347f1a08f277e22358bbabe26f823fca82c7848e9a756"
    "61f4ec5d5c1989ef"
)
SERVER_PRIVATE_KEY = bytes.fromhex("47451a85372f8b3537e249d7b54188091fb18edde78094b43e2ba42b5eb89f0d")
SERVER_PUBLIC_KEY = bytes.fromhex("b2fe7af9f48cc502d016729d2fe25cdd433f2c4bc904660b2a382c9b79df1a78")
CREDENTIAL_IDENTIFIER = b"1234"
REGISTRATION_REQUEST = bytes.fromhex("5059ff249eb1551b7ce4991f3336205bde44a105a032e747d21bf382e75f7a71")
REGISTRATION_RESPONSE = (
    bytes.fromhex("7408a268083e03abc7097fc05b587834539065e86fb0c7b6342fcf5e01e5b019") + SERVER_PUBLIC_KEY
)
CLIENT_PUBLIC_KEY = bytes.fromhex("76a845464c68a5d2f7e442436bb1424953b17d3e2e289ccbaccafb57ac5c3675")
MASKING_KEY = bytes.fromhex(
    "1ac5844383c7708077dea41cbefe2fa15724f449e535dd7dd562e66f5ecfb95864eadddec9db5874959905117dad40a45241118497992"
    "81fefe3c51fa82785c5"
)
ENVELOPE = bytes.fromhex(
    "ac13171b2f17bc2c74997f0fce1e1f35bec6b91fe2e12dbd323d23ba7a38dfec634b0f5b96109c198a8027da51854c35bee90d1e1c78180"
    "6d07d49b76de6a28b8d9e9b6c93b9f8b64d16dddd9c5bfb5fea48ee8fd2f75012a8b308605cdd8ba5"
)
REGISTRATION_UPLOAD = CLIENT_PUBLIC_KEY + MASKING_KEY + ENVELOPE
KE1 = bytes.fromhex(
    "c4dedb0ba6ed5d965d6f250fbe554cd45cba5dfcce3ce836e4aee778aa3cd44dda7e07376d6d6f034cfa9bb537d11b8c6b4238c334333d1f"
    "0aebb380cae6a6cc6e29bee50701498605b2c085d7b241ca15ba5c32027dd21ba420b94ce60da326"
)
LOGIN_EVALUATED_ELEMENT = bytes.fromhex("7e308140890bcde30cbcea28b01ea1ecfbd077cff62c4def8efa075aabcbb471")


@pytest.fixture
def setup():
    return opaque_ke_py.ServerSetupData.from_bytes(OPRF_SEED + SERVER_PRIVATE_KEY + SERVER_PUBLIC_KEY)


def test_registration_response_is_the_one_of_the_rfc(setup):
    start = opaque_ke_py.server_registration_start(setup, REGISTRATION_REQUEST, CREDENTIAL_IDENTIFIER)
    assert start.get_message() == REGISTRATION_RESPONSE


def test_another_credential_identifier_gives_another_response(setup):
    start = opaque_ke_py.server_registration_start(setup, REGISTRATION_REQUEST, b"1235")
    assert start.get_message()[:32] != REGISTRATION_RESPONSE[:32]
    assert start.get_message()[32:] == SERVER_PUBLIC_KEY


def test_registration_stores_the_upload_as_it_came():
    assert opaque_ke_py.server_registration_finish(REGISTRATION_UPLOAD).get_password_file() == REGISTRATION_UPLOAD


def test_ke2_evaluates_as_in_the_rfc_and_masks_the_rfcs_envelope(setup):
    ke2 = opaque_ke_py.server_login_start(setup, REGISTRATION_UPLOAD, KE1, CREDENTIAL_IDENTIFIER).get_message()
    assert ke2[:32] == LOGIN_EVALUATED_ELEMENT

    # Section 6.3.2.2: the nonce is drawn anew each time, what lies under the pad is not.
    masking_nonce, masked_response = ke2[32:64], ke2[64:192]
    pad = HKDFExpand(hashes.SHA512(), 128, masking_nonce + b"CredentialResponsePad").derive(MASKING_KEY)
    assert bytes(a ^ b for a, b in zip(pad, masked_response, strict=True)) == SERVER_PUBLIC_KEY + ENVELOPE
