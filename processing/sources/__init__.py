"""Where Level-1C comes from beside the drop box: catalogues of other houses, each behind the same few verbs.

`offers` has the nouns, `odata` the Copernicus Data Space, `account` what proves who asks, `fetching` brings packages
into the drop box, where they are looked at like any other. A catalogue's count, the order of its pages and what it
leaves out are never believed.
"""
