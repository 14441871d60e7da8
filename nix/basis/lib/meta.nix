lib: rec {
  addMetaAttrs = newAttrs: drv: drv // { meta = (drv.meta or { }) // newAttrs; };
  setName = name: drv: drv // { inherit name; };
  setPrio = priority: addMetaAttrs { inherit priority; };
  lowPrio = setPrio 10;
  hiPrio = setPrio (-10);
  lowPrioSet = builtins.mapAttrs (_: lowPrio);
  dontDistribute = addMetaAttrs { hydraPlatforms = [ ]; };
  getExe = x: getExe' x (x.meta.mainProgram or (lib.getName x));
  getExe' = x: program: "${lib.getBin x}/bin/${program}";
  availableOn = platform: pkg: builtins.elem platform.system (pkg.meta.platforms or [ platform.system ]);
  getLicenseFromSpdxId = id: lib.findFirst (l: l.spdxId or null == id) { shortName = id; } (builtins.attrValues lib.licenses);
}
