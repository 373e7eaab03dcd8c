"""Where Level-1C comes from beside the drop box: catalogues of other houses, each behind the same few verbs.

`offers` has the nouns and what a source can do; `odata` and `subscriptions` are the Copernicus Data Space, `stac` any
STAC API, `s3` a bucket, `tree` a mirror's folder, `eodag` what that library finds. `paging` and `reading` are how
listings are gone through, `account` and `pace` who asks and how fast. `fetching` brings packages into the drop box,
where they are looked at like any other, once `wholeness` finds each of their bytes; `ledger` keeps what became of them.
A catalogue's count, the order of its pages and what it leaves out are never believed.
"""
