"""What users get of products: what lies in a folder, zips that can be taken in parts, and the client that takes them.

`holdings` reads a published folder once; `zips` lays a folder out as a zip without making one; `client` is what
`muscate download` and `muscate sync` do on a user's machine, over HTTP alone.
"""
