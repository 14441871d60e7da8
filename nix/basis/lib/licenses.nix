# Short name → SPDX identifier, as nixpkgs names them.
builtins.mapAttrs
  (shortName: spdxId: { inherit shortName spdxId; fullName = spdxId; free = true; redistributable = true; url = "https://spdx.org/licenses/${spdxId}.html"; })
  {
    agpl3Only = "AGPL-3.0-only"; agpl3Plus = "AGPL-3.0-or-later"; asl20 = "Apache-2.0"; boost = "BSL-1.0"; bsd0 = "0BSD"; bsd2 = "BSD-2-Clause";
    bsd3 = "BSD-3-Clause"; bsdOriginal = "BSD-4-Clause"; cc0 = "CC0-1.0"; cc-by-40 = "CC-BY-4.0"; cc-by-sa-40 = "CC-BY-SA-4.0"; curl = "curl"; epl20 = "EPL-2.0"; gpl2 = "GPL-2.0"; gpl2Only = "GPL-2.0-only";
    gpl2Plus = "GPL-2.0-or-later"; gpl3 = "GPL-3.0"; gpl3Only = "GPL-3.0-only"; gpl3Plus = "GPL-3.0-or-later"; isc = "ISC"; lgpl2 = "LGPL-2.0"; lgpl2Plus = "LGPL-2.0-or-later";
    lgpl21 = "LGPL-2.1"; lgpl21Only = "LGPL-2.1-only"; lgpl21Plus = "LGPL-2.1-or-later"; lgpl3 = "LGPL-3.0"; lgpl3Only = "LGPL-3.0-only"; lgpl3Plus = "LGPL-3.0-or-later"; mit = "MIT"; mit0 = "MIT-0";
    mpl11 = "MPL-1.1"; mpl20 = "MPL-2.0"; ofl = "OFL-1.1"; openssl = "OpenSSL"; postgresql = "PostgreSQL"; psfl = "Python-2.0"; publicDomain = "LicenseRef-public-domain"; unlicense = "Unlicense"; wtfpl = "WTFPL"; x11 = "X11"; zlib = "Zlib"; free = "LicenseRef-free"; artistic2 = "Artistic-2.0"; eupl12 = "EUPL-1.2"; blueOak100 = "BlueOak-1.0.0";
  }
// builtins.mapAttrs (shortName: fullName: { inherit shortName fullName; free = false; redistributable = false; }) { unfree = "Unfree"; unfreeRedistributable = "Unfree redistributable"; bsl11 = "Business Source License 1.1"; sspl = "Server Side Public License"; elastic20 = "Elastic License 2.0"; }
