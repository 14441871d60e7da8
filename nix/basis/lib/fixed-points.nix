lib: rec {
  fix = f: let x = f x; in x;
  fix' = f: let x = f x // { __unfix__ = f; }; in x;
  extends = overlay: f: final: let prev = f final; in prev // overlay final prev;
  composeExtensions = f: g: final: prev: let applied = f final prev; in applied // g final (prev // applied);
  composeManyExtensions = lib.foldr composeExtensions (_: _: { });
  makeExtensible = makeExtensibleWithCustomName "extend";
  makeExtensibleWithCustomName = name: rattrs: fix (self: rattrs self // { ${name} = f: makeExtensibleWithCustomName name (extends f rattrs); });
  toExtension = f: if lib.isFunction f then (final: prev: let r = f final; in if lib.isFunction r then r prev else f prev) else (_: _: f);
  converge = f: x: let y = f x; in if y == x then x else converge f y;
}
