# A program of the npm registry that brings its dependencies along.
{ lib, stdenvNoCC, nodejs, sources, attribute }:
let locked = sources.locked.npm.${attribute}; in
stdenvNoCC.mkDerivation {
  pname = attribute;
  inherit (locked) version;
  src = sources.npm attribute;
  buildInputs = [ nodejs ];
  dontConfigure = true;
  dontBuild = true;
  installPhase = ''
    runHook preInstall
    mkdir -p $out/bin $out/lib/node_modules
    cp -r . $out/lib/node_modules/${attribute}
    chmod -R a+rX $out/lib
    node -e '
      const { bin, name } = require("./package.json");
      const programs = typeof bin === "string" ? { [name]: bin } : bin;
      for (const [program, file] of Object.entries(programs)) console.log(program, file);
    ' | while read -r program file; do
      chmod +x $out/lib/node_modules/${attribute}/$file
      ln -s ../lib/node_modules/${attribute}/''${file#./} $out/bin/$program
    done
    runHook postInstall
  '';
  passthru.nodejs = nodejs;
  meta.mainProgram = if attribute == "typescript" then "tsc" else attribute;
}
