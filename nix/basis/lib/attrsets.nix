lib: rec {
  attrByPath = path: default: set:
    if path == [ ] then set else if set ? ${builtins.head path} then attrByPath (builtins.tail path) default set.${builtins.head path} else default;
  hasAttrByPath = path: set:
    path == [ ] || (builtins.isAttrs set && set ? ${builtins.head path} && hasAttrByPath (builtins.tail path) set.${builtins.head path});
  getAttrFromPath = path: attrByPath path (throw "cannot find attribute `${builtins.concatStringsSep "." path}'");
  setAttrByPath = path: value: if path == [ ] then value else { ${builtins.head path} = setAttrByPath (builtins.tail path) value; };
  nameValuePair = name: value: { inherit name value; };
  genAttrs = names: f: builtins.listToAttrs (map (n: nameValuePair n (f n)) names);
  genAttrs' = xs: f: builtins.listToAttrs (map f xs);
  attrVals = names: set: map (n: set.${n}) names;
  getAttrs = names: set: genAttrs names (n: set.${n});
  filterAttrs = pred: set: builtins.removeAttrs set (builtins.filter (n: !(pred n set.${n})) (builtins.attrNames set));
  filterAttrsRecursive = pred: set:
    builtins.mapAttrs (_: v: if builtins.isAttrs v then filterAttrsRecursive pred v else v) (filterAttrs pred set);
  mapAttrs' = f: set: builtins.listToAttrs (map (n: f n set.${n}) (builtins.attrNames set));
  mapAttrsToList = f: set: map (n: f n set.${n}) (builtins.attrNames set);
  attrsToList = mapAttrsToList nameValuePair;
  concatMapAttrs = f: set: builtins.foldl' (a: b: a // b) { } (mapAttrsToList f set);
  mapAttrsRecursive = mapAttrsRecursiveCond (_: true);
  mapAttrsRecursiveCond = cond: f: set:
    let go = path: builtins.mapAttrs (n: v: if builtins.isAttrs v && cond v then go (path ++ [ n ]) v else f (path ++ [ n ]) v); in go [ ] set;
  collect = pred: set:
    if pred set then [ set ] else if builtins.isAttrs set then builtins.concatMap (collect pred) (builtins.attrValues set) else [ ];
  foldlAttrs = f: init: set: builtins.foldl' (acc: n: f acc n set.${n}) init (builtins.attrNames set);
  foldAttrs = op: nul: sets: lib.foldr (n: a: builtins.foldl' (o: name: o // { ${name} = op n.${name} (a.${name} or nul); }) a (builtins.attrNames n)) { } sets;
  zipAttrsWith = builtins.zipAttrsWith;
  zipAttrs = builtins.zipAttrsWith (_: v: v);
  zipAttrsWithNames = names: f: sets: genAttrs names (n: f n (builtins.catAttrs n sets));
  mergeAttrsList = builtins.foldl' (a: b: a // b) { };
  recursiveUpdateUntil = pred: lhs: rhs:
    let go = path: builtins.zipAttrsWith (n: values:
          let here = path ++ [ n ]; in
          if builtins.length values == 1 || pred here (builtins.elemAt values 1) (builtins.head values) then builtins.head values else go here values);
    in go [ ] [ rhs lhs ];
  recursiveUpdate = recursiveUpdateUntil (_: lhs: rhs: !(builtins.isAttrs lhs && builtins.isAttrs rhs));
  updateManyAttrsByPath = updates: set:
    builtins.foldl' (acc: u: recursiveUpdate acc (setAttrByPath u.path (u.update (getAttrFromPath u.path acc)))) set updates;
  matchAttrs = pattern: attrs:
    builtins.all (n: attrs ? ${n} && (if builtins.isAttrs pattern.${n} then builtins.isAttrs attrs.${n} && matchAttrs pattern.${n} attrs.${n} else pattern.${n} == attrs.${n})) (builtins.attrNames pattern);
  optionalAttrs = cond: set: if cond then set else { };
  isDerivation = value: value.type or null == "derivation";
  toDerivation = path: { type = "derivation"; name = lib.strings.sanitizeDerivationName (builtins.baseNameOf path); outPath = builtins.storePath path; outputs = [ "out" ]; out = toDerivation path; outputName = "out"; };
  recurseIntoAttrs = set: set // { recurseForDerivations = true; };
  dontRecurseIntoAttrs = set: set // { recurseForDerivations = false; };
  cartesianProduct = sets:
    builtins.foldl' (lists: name: builtins.concatMap (l: map (v: l // { ${name} = v; }) sets.${name}) lists) [ { } ] (builtins.attrNames sets);
  cartesianProductOfSets = cartesianProduct;
  mapCartesianProduct = f: sets: map f (cartesianProduct sets);
  getOutput = output: pkg: if !(pkg ? outputSpecified) || !pkg.outputSpecified then pkg.${output} or pkg.out or pkg else pkg;
  getFirstOutput = names: pkg: let found = builtins.filter (n: pkg ? ${n}) names; in if found == [ ] then pkg else pkg.${builtins.head found};
  getBin = getOutput "bin";
  getLib = getOutput "lib";
  getDev = getOutput "dev";
  getMan = getOutput "man";
  getInclude = getOutput "dev";
  chooseDevOutputs = map getDev;
  showAttrPath = builtins.concatStringsSep ".";
  unionOfDisjoint = x: y: x // y;
}
