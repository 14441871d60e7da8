lib: rec {
  singleton = x: [ x ];
  forEach = xs: f: map f xs;
  foldr = op: nul: list:
    let len = builtins.length list; fold' = n: if n == len then nul else op (builtins.elemAt list n) (fold' (n + 1)); in fold' 0;
  fold = foldr;
  foldl = op: nul: list: builtins.foldl' op nul list;
  imap0 = f: list: builtins.genList (n: f n (builtins.elemAt list n)) (builtins.length list);
  imap1 = f: list: builtins.genList (n: f (n + 1) (builtins.elemAt list n)) (builtins.length list);
  flatten = x: if builtins.isList x then builtins.concatMap flatten x else [ x ];
  remove = e: builtins.filter (x: x != e);
  findFirst = pred: default: list: let found = builtins.filter pred list; in if found == [ ] then default else builtins.head found;
  findSingle = pred: default: multiple: list:
    let found = builtins.filter pred list; in
    if found == [ ] then default else if builtins.length found == 1 then builtins.head found else multiple;
  count = pred: list: builtins.length (builtins.filter pred list);
  optional = cond: elem: if cond then [ elem ] else [ ];
  optionals = cond: elems: if cond then elems else [ ];
  toList = x: if builtins.isList x then x else [ x ];
  range = first: last: if first > last then [ ] else builtins.genList (n: first + n) (last - first + 1);
  replicate = n: elem: builtins.genList (_: elem) n;
  zipListsWith = f: fst: snd:
    builtins.genList (n: f (builtins.elemAt fst n) (builtins.elemAt snd n)) (lib.min (builtins.length fst) (builtins.length snd));
  zipLists = zipListsWith (fst: snd: { inherit fst snd; });
  reverseList = xs: let l = builtins.length xs; in builtins.genList (n: builtins.elemAt xs (l - n - 1)) l;
  sortOn = f: list: map (p: p.value) (builtins.sort (a: b: a.key < b.key) (map (value: { key = f value; inherit value; }) list));
  naturalSort = builtins.sort (a: b: builtins.compareVersions a b < 0);
  take = count: sublist 0 count;
  drop = count: list: sublist count (builtins.length list) list;
  takeEnd = n: xs: drop (lib.max 0 (builtins.length xs - n)) xs;
  dropEnd = n: xs: take (lib.max 0 (builtins.length xs - n)) xs;
  sublist = start: count: list:
    let len = builtins.length list; in
    builtins.genList (n: builtins.elemAt list (n + start)) (if start >= len then 0 else if start + count > len then len - start else count);
  last = list: assert list != [ ]; builtins.elemAt list (builtins.length list - 1);
  init = list: assert list != [ ]; take (builtins.length list - 1) list;
  crossLists = f: builtins.foldl' (fs: args: builtins.concatMap (g: map g args) fs) [ f ];
  unique = builtins.foldl' (acc: e: if builtins.elem e acc then acc else acc ++ [ e ]) [ ];
  uniqueStrings = list: builtins.attrNames (builtins.groupBy lib.id list);
  allUnique = list: builtins.length (unique list) == builtins.length list;
  intersectLists = e: builtins.filter (x: builtins.elem x e);
  subtractLists = e: builtins.filter (x: !(builtins.elem x e));
  mutuallyExclusive = a: b: intersectLists a b == [ ];
  hasPrefixList = a: b: take (builtins.length a) b == a;
  groupBy' = op: nul: pred: list: builtins.mapAttrs (_: builtins.foldl' op nul) (builtins.groupBy pred list);
  concatLists = builtins.concatLists;
  ifilter0 = pred: list: map (i: builtins.elemAt list i) (builtins.filter (i: pred i (builtins.elemAt list i)) (builtins.genList lib.id (builtins.length list)));
  compareLists = cmp: a: b:
    if a == [ ] then (if b == [ ] then 0 else -1) else if b == [ ] then 1
    else let rel = cmp (builtins.head a) (builtins.head b); in if rel == 0 then compareLists cmp (builtins.tail a) (builtins.tail b) else rel;
}
