lib: rec {
  concatStrings = builtins.concatStringsSep "";
  concatMapStrings = f: list: concatStrings (map f list);
  concatImapStrings = f: list: concatStrings (lib.imap1 f list);
  concatMapStringsSep = sep: f: list: builtins.concatStringsSep sep (map f list);
  concatImapStringsSep = sep: f: list: builtins.concatStringsSep sep (lib.imap1 f list);
  concatMapAttrsStringSep = sep: f: attrs: builtins.concatStringsSep sep (lib.mapAttrsToList f attrs);
  concatLines = concatMapStrings (s: s + "\n");
  intersperse = sep: list:
    if list == [ ] then [ ] else builtins.tail (builtins.concatMap (x: [ sep x ]) list);
  optionalString = cond: string: if cond then string else "";
  join = builtins.concatStringsSep;
  hasPrefix = prefix: s: builtins.substring 0 (builtins.stringLength prefix) s == prefix;
  hasSuffix = suffix: s:
    let n = builtins.stringLength s; m = builtins.stringLength suffix; in n >= m && builtins.substring (n - m) m s == suffix;
  hasInfix = infix: s: builtins.length (builtins.split (escapeRegex infix) "${s}") > 1;
  removePrefix = prefix: s: if hasPrefix prefix s then builtins.substring (builtins.stringLength prefix) (-1) s else s;
  removeSuffix = suffix: s: if hasSuffix suffix s then builtins.substring 0 (builtins.stringLength s - builtins.stringLength suffix) s else s;
  splitString = sep: s: builtins.filter builtins.isString (builtins.split (escapeRegex (toString sep)) (toString s));
  stringToCharacters = s: builtins.genList (n: builtins.substring n 1 s) (builtins.stringLength s);
  stringAsChars = f: s: concatStrings (map f (stringToCharacters s));
  escape = list: builtins.replaceStrings list (map (c: "\\${c}") list);
  escapeRegex = escape [ "\\" "^" "$" "." "|" "?" "*" "+" "(" ")" "[" "]" "{" "}" ];
  escapeShellArg = arg:
    let s = toString arg; in if builtins.match "[[:alnum:],._+:@%/-]+" s != null then s else "'${builtins.replaceStrings [ "'" ] [ "'\\''" ] s}'";
  escapeShellArgs = concatMapStringsSep " " escapeShellArg;
  isValidPosixName = name: builtins.match "[a-zA-Z_][a-zA-Z0-9_]*" name != null;
  toShellVar = name: value:
    if builtins.isAttrs value && !(value ? outPath) then "declare -A ${name}=(${concatStrings (lib.mapAttrsToList (n: v: " [${escapeShellArg n}]=${escapeShellArg v}") value)})"
    else if builtins.isList value then "declare -a ${name}=(${escapeShellArgs value})"
    else "${name}=${escapeShellArg value}";
  toShellVars = vars: builtins.concatStringsSep "\n" (lib.mapAttrsToList toShellVar vars);
  escapeNixString = s: escape [ "$" ] (builtins.toJSON s);
  escapeXML = builtins.replaceStrings [ "\"" "'" "<" ">" "&" ] [ "&quot;" "&apos;" "&lt;" "&gt;" "&amp;" ];
  escapeURL = let safe = stringToCharacters "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~"; in
    stringAsChars (c: if builtins.elem c safe then c else if c == " " then "%20" else if c == "/" then "%2F" else if c == ":" then "%3A" else if c == "@" then "%40" else if c == "+" then "%2B" else if c == "&" then "%26" else if c == "=" then "%3D" else if c == "?" then "%3F" else if c == "#" then "%23" else if c == "%" then "%25" else c);
  lowerChars = stringToCharacters "abcdefghijklmnopqrstuvwxyz";
  upperChars = stringToCharacters "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
  toLower = builtins.replaceStrings upperChars lowerChars;
  toUpper = builtins.replaceStrings lowerChars upperChars;
  toSentenceCase = s: toUpper (builtins.substring 0 1 s) + builtins.substring 1 (-1) s;
  trim = trimWith { start = true; end = true; };
  trimWith = { start ? false, end ? false }: s:
    let
      ws = "[ \t\r\n]*";
      left = if start then builtins.head (builtins.match "${ws}(.*)" s) else s;
      m = builtins.match "(.*[^ \t\r\n])${ws}" left;
    in
    if !end then left else if m == null then "" else builtins.head m;
  replicate = n: s: concatStrings (builtins.genList (_: s) n);
  fixedWidthString = width: filler: s:
    let n = builtins.stringLength s; in assert n <= width; if n == width then s else filler + fixedWidthString (width - 1) filler s;
  fixedWidthNumber = width: n: fixedWidthString width "0" (toString n);
  makeSearchPath = subDir: paths: builtins.concatStringsSep ":" (map (p: p + "/" + subDir) (builtins.filter (x: x != null) paths));
  makeSearchPathOutput = output: subDir: pkgs: makeSearchPath subDir (map (lib.getOutput output) pkgs);
  makeLibraryPath = makeSearchPathOutput "lib" "lib";
  makeIncludePath = makeSearchPathOutput "dev" "include";
  makeBinPath = makeSearchPathOutput "bin" "bin";
  normalizePath = s: builtins.concatStringsSep "/" (let p = builtins.filter (x: builtins.isString x && x != "") (builtins.split "/" s); in (if hasPrefix "/" s then [ "" ] else [ ]) ++ p);
  versionOlder = v1: v2: builtins.compareVersions v2 v1 == 1;
  versionAtLeast = v1: v2: !versionOlder v1 v2;
  getName = x: if builtins.isString x then (builtins.parseDrvName x).name else x.pname or (builtins.parseDrvName x.name).name;
  getVersion = x: if builtins.isString x then (builtins.parseDrvName x).version else x.version or (builtins.parseDrvName x.name).version;
  nameFromURL = url: sep: builtins.head (splitString sep (lib.last (splitString "/" url)));
  toInt = s: let v = builtins.fromJSON (let m = builtins.match "[[:space:]]*(-?)0*([0-9]+)[[:space:]]*" s; in if m == null then throw "Could not convert ${s} to int." else concatStrings m); in v;
  toIntBase10 = toInt;
  floatToString = f: toString f;
  isCoercibleToString = x: builtins.elem (builtins.typeOf x) [ "path" "string" "null" "int" "float" "bool" ] || x ? outPath || x ? __toString;
  isConvertibleWithToString = isCoercibleToString;
  isStringLike = x: builtins.isString x || builtins.isPath x || x ? outPath || x ? __toString;
  isStorePath = x: isStringLike x && builtins.dirOf (toString x) == builtins.storeDir;
  sanitizeDerivationName = s: let r = stringAsChars (c: if builtins.match "[a-zA-Z0-9+._?=-]" c == null then "-" else c) (builtins.unsafeDiscardStringContext s); in if r == "" then "unknown" else removePrefix "." r;
  readPathsFromFile = root: file: map (p: root + "/${p}") (builtins.filter (x: x != "") (splitString "\n" (builtins.readFile file)));
  fileContents = file: removeSuffix "\n" (builtins.readFile file);
  cmakeBool = name: value: "-D${name}:BOOL=${if value then "TRUE" else "FALSE"}";
  cmakeFeature = name: value: "-D${name}:STRING=${toString value}";
  cmakeOptionType = type: name: value: "-D${name}:${type}=${toString value}";
  mesonOption = name: value: "-D${name}=${value}";
  mesonBool = name: value: "-D${name}=${lib.boolToString value}";
  mesonEnable = name: value: "-D${name}=${if value then "enabled" else "disabled"}";
  enableFeature = cond: feature: "--${if cond then "enable" else "disable"}-${feature}";
  enableFeatureAs = cond: feature: value: if cond then "--enable-${feature}=${value}" else "--disable-${feature}";
  withFeature = cond: feature: "--${if cond then "with" else "without"}-${feature}";
  withFeatureAs = cond: feature: value: if cond then "--with-${feature}=${value}" else "--without-${feature}";
  charToInt = c: (builtins.listToAttrs (lib.imap0 (i: name: { inherit name; value = i + 32; }) (stringToCharacters " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~"))).${c};
  commonPrefixLength = a: b: let m = lib.min (builtins.stringLength a) (builtins.stringLength b); go = i: if i >= m || builtins.substring i 1 a != builtins.substring i 1 b then i else go (i + 1); in go 0;
}
