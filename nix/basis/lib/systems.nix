lib: rec {
  doubles = rec {
    linux = [ "x86_64-linux" "aarch64-linux" "i686-linux" "armv7l-linux" "riscv64-linux" "powerpc64le-linux" ];
    darwin = [ "x86_64-darwin" "aarch64-darwin" ];
    unix = linux ++ darwin;
    all = unix;
    x86_64 = [ "x86_64-linux" "x86_64-darwin" ];
    aarch64 = [ "aarch64-linux" "aarch64-darwin" ];
    gnu = linux;
    x86 = x86_64 ++ [ "i686-linux" ];
    windows = [ ];
    freebsd = [ ];
    none = [ ];
  };
  platforms = doubles;
  flakeExposed = [ "x86_64-linux" "aarch64-linux" "x86_64-darwin" "aarch64-darwin" "armv7l-linux" "i686-linux" "riscv64-linux" "powerpc64le-linux" ];
  supported.hydra = flakeExposed;
  # What `stdenv.hostPlatform` is.
  elaborate = args:
    let
      system = if builtins.isString args then args else args.system or args.config;
      parts = builtins.match "([^-]+)-(.+)" system;
      cpu = builtins.elemAt parts 0;
      kernel = builtins.elemAt parts 1;
    in
    rec {
      inherit system;
      config = if kernel == "linux" then "${cpu}-unknown-linux-gnu" else "${cpu}-apple-darwin";
      parsed = { cpu = { name = cpu; bits = 64; family = if isx86 then "x86" else "arm"; }; kernel.name = kernel; vendor.name = "unknown"; abi.name = "gnu"; };
      isLinux = kernel == "linux";
      isDarwin = kernel == "darwin";
      isUnix = true;
      isx86_64 = cpu == "x86_64";
      isx86_32 = cpu == "i686";
      isx86 = isx86_64 || isx86_32;
      isAarch64 = cpu == "aarch64";
      isAarch32 = cpu == "armv7l";
      isAarch = isAarch64 || isAarch32;
      isi686 = isx86_32;
      isRiscV = cpu == "riscv64";
      is64bit = !(isx86_32 || isAarch32);
      is32bit = !is64bit;
      isLittleEndian = true;
      isBigEndian = false;
      isGnu = isLinux;
      isMusl = false;
      isStatic = false;
      isWindows = false;
      isFreeBSD = false;
      isBSD = isDarwin;
      isMacOS = isDarwin;
      isWasm = false;
      isWasi = false;
      isCygwin = false;
      isAndroid = false;
      libc = if isLinux then "glibc" else "libSystem";
      linuxArch = if isAarch64 then "arm64" else cpu;
      darwinArch = if isAarch64 then "arm64" else cpu;
      uname = { system = if isLinux then "Linux" else "Darwin"; processor = cpu; release = null; };
      extensions = { sharedLibrary = if isDarwin then ".dylib" else ".so"; executable = ""; staticLibrary = ".a"; library = extensions.sharedLibrary; };
      go = { GOOS = kernel; GOARCH = if isx86_64 then "amd64" else "arm64"; GOARM = ""; };
      node = { platform = kernel; arch = if isx86_64 then "x64" else "arm64"; };
      canExecute = other: other.system == system;
      emulatorAvailable = _: false;
      isCompatible = canExecute;
      rust.rustcTarget = config;
    };
  equals = a: b: a.system == b.system;
}
