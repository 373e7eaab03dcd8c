"""Alerts: rules over the store say what is wrong, and senders tell somebody.

`rules` reads the file, `conditions` asks the store, `watch` opens, repeats and closes alerts and sends what is due,
`senders` has the ways out.
"""
