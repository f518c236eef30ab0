"""The description of the HTTP interface, made from the route table: as OpenAPI 3.1 and as a page to read."""
