"""The pages that everybody may open: plain HTML and SVG from the server, in three languages, without any script."""
