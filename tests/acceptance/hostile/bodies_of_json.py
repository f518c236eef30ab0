"""Bodies that some readers of JSON take, and ours must not. CANARY stands wherever something could be quoted."""

import json

from tests.acceptance.hostile.requests_of_http import CANARY

GOOD = json.dumps({"username": CANARY, "x": 1})
DEEP = 10_000

NOT_JSON = {
    "nothing": b"",
    "a form": b"username=CANARY",
    "half of it": b'{"username": "CANARY',
    "something behind it": GOOD.encode() + b"CANARY",
    "another one behind it": GOOD.encode() * 2,
    "UTF-16": GOOD.encode("utf-16"),
    "UTF-16 without a mark": GOOD.encode("utf-16-le"),
    "UTF-32": GOOD.encode("utf-32"),
    "a byte order mark": b"\xef\xbb\xbf" + GOOD.encode(),
    "Latin-1": b'{"username": "CANARY\xe9"}',
    "UTF-8 cut off": b'{"username": "CANARY\xc3"}',
    "UTF-8 of a surrogate": b'{"username": "CANARY\xed\xa0\x80"}',
    "UTF-8 too long": b'{"username": "CANARY\xc0\xaf"}',
    "NaN": b'{"username": NaN, "x": "CANARY"}',
    "Infinity": b'{"CANARY": -Infinity}',
    "a name twice": b'{"username": "CANARY", "username": "CANARY"}',
    "a name twice, once escaped": b'{"username": "CANARY", "user\\u006eame": "CANARY"}',
    "a name twice, deep inside": b'{"x": [{"CANARY": 1, "CANARY": 2}]}',
    "half a surrogate": b'{"username": "CANARY\\ud800"}',
    "surrogates the wrong way round": b'{"username": "CANARY\\ude00\\ud83d"}',
    "half a surrogate in a name": b'{"CANARY\\udfff": 1}',
    "NUL": b'{"username": "CANARY\x00"}',
    "a line feed in a text": b'{"username": "CANARY\n"}',
    "single quotes": b"{'username': 'CANARY'}",
    "a comma too many": b'{"username": "CANARY",}',
    "a comment": b'{"username": "CANARY"} // x',
    "a number too long": b'{"CANARY": ' + b"9" * 5000 + b"}",
    "many levels": b"[" * DEEP + b"]" * DEEP,
    "many levels of objects": b'{"CANARY":' * 5000 + b"1" + b"}" * 5000,
    "many levels, no end": b'{"x":' + b"[" * 60_000,
}
