# A file set is a predicate on absolute path strings; directories on the way to members are kept where they hold some.
lib:
let
  make = contains: { _type = "fileset"; inherit contains; };
  under = base: path: path == base || lib.hasPrefix (base + "/") path;
  coerce = value: if value._type or null == "fileset" then value else
    let base = toString value; in
    if builtins.pathExists value then make (path: under base path) else throw "lib.fileset: ${base} does not exist";
  # Every file below a directory, as strings.
  walk = dir: builtins.concatLists (lib.mapAttrsToList (name: type: let path = "${dir}/${name}"; in if type == "directory" then walk path else [ path ]) (builtins.readDir dir));
in
rec {
  union = a: b: let x = coerce a; y = coerce b; in make (path: x.contains path || y.contains path);
  unions = list: let sets = map coerce list; in make (path: builtins.any (s: s.contains path) sets);
  intersection = a: b: let x = coerce a; y = coerce b; in make (path: x.contains path && y.contains path);
  difference = a: b: let x = coerce a; y = coerce b; in make (path: x.contains path && !y.contains path);
  maybeMissing = path: if builtins.pathExists path then coerce path else make (_: false);
  fileFilter = pred: path:
    let base = toString path; in
    make (file: under base file && pred { name = baseNameOf file; type = "regular"; hasExt = ext: lib.hasSuffix ".${ext}" (baseNameOf file); });
  gitTracked = path: make (file: under (toString path) file && !(lib.hasInfix "/.git/" file));
  fromSource = src: if src ? _isLibCleanSourceWith then make (file: under (toString src.origSrc) file && src.filter file "regular") else coerce src;
  trace = set: value: value;
  traceVal = set: set;
  toSource = { root, fileset }:
    let
      set = coerce fileset;
      keep = path: type: if type == "directory" then builtins.any set.contains (walk path) else set.contains path;
      outPath = builtins.path { path = root; name = "source"; filter = keep; };
    in
    { _isLibCleanSourceWith = true; origSrc = root; filter = keep; name = "source"; inherit outPath; };
}
