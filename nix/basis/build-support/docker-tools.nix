# The parts of dockerTools that are file trees. Images themselves are made by Kiln from the closure.
self:
let inherit (self) lib; in
{
  caCertificates = self.runCommandLocal "ca-certificates" { } ''
    mkdir -p $out/etc/ssl/certs $out/etc/pki/tls/certs
    for target in etc/ssl/certs/ca-bundle.crt etc/ssl/certs/ca-certificates.crt etc/pki/tls/certs/ca-bundle.crt; do
      ln -s ${self.cacert}/etc/ssl/certs/ca-bundle.crt $out/$target
    done
  '';
  fakeNss = self.fakeNss;
  usrBinEnv = self.runCommandLocal "usr-bin-env" { } "mkdir -p $out/usr/bin; ln -s ${self.coreutils}/bin/env $out/usr/bin/env";
  binSh = self.runCommandLocal "bin-sh" { } "mkdir -p $out/bin; ln -s ${self.bash}/bin/bash $out/bin/sh";
  buildImage = _: throw "dockerTools.buildImage is not in the basis: build the package, Kiln makes the image";
  buildLayeredImage = _: throw "dockerTools.buildLayeredImage is not in the basis: build the package, Kiln makes the image";
  streamLayeredImage = _: throw "dockerTools.streamLayeredImage is not in the basis: build the package, Kiln makes the image";
}
