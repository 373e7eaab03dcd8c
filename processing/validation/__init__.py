"""How good the products are: cloud masks, aerosol and reflectance held against references, as numbers and figures.

`masks` and `comparators` read masks, `clouds` compares them; `reflectance`, `aot` (with `aeronet`) and `versions` do
the same for their quantities. `runs` pairs the inputs, compares and draws (`figures`); `cli` has the commands.
"""
