/** The Nix text of a small web server for a folder of files: nginx, configured when it starts. */

/**
 * Shell lines for an `installPhase` that write `$out/bin/<name>`, which serves `root` (a path below `$out`).
 * Files of the store are all dated 1970: a tag of date and size would be the same for two versions, so there is none.
 * It listens on PORT, runs as any user, and writes only below TMPDIR, /tmp or /dev/shm, whichever is writable.
 */
export function staticServerLines(options: {
  readonly name: string;
  readonly root: string;
  readonly singlePage: boolean;
  readonly port: number;
}): string {
  const fallback = options.singlePage ? '/index.html' : '=404';
  return `mkdir -p $out/bin
cat > $out/bin/${options.name} <<'START'
#!@bash@/bin/bash
set -eu
PATH=@coreutils@/bin
for folder in "\${TMPDIR:-/tmp}" /tmp /dev/shm; do
  if [ -w "$folder" ]; then break; fi
done
work=$(mktemp -d "$folder/site-XXXXXX")
log=off
if (: >> /dev/stdout) 2> /dev/null; then log=/dev/stdout; fi
cat > "$work/nginx.conf" <<CONFIGURATION
daemon off;
worker_processes 1;
pid $work/nginx.pid;
error_log stderr warn;
events { worker_connections 1024; }
http {
  include @mime@;
  default_type application/octet-stream;
  types { text/javascript mjs; application/manifest+json webmanifest; }
  charset utf-8;
  access_log $log;
  client_body_temp_path $work/body;
  proxy_temp_path $work/proxy;
  fastcgi_temp_path $work/fastcgi;
  uwsgi_temp_path $work/uwsgi;
  scgi_temp_path $work/scgi;
  sendfile on;
  gzip on;
  gzip_types text/css text/javascript application/javascript application/json image/svg+xml;
  server_tokens off;
  etag off;
  if_modified_since off;
  add_header Last-Modified "";
  absolute_redirect off;
  server {
    listen \${PORT:-${options.port}};
    root @out@/${options.root};
    index index.html index.htm;
    location / { try_files \\$uri \\$uri.html \\$uri/ ${fallback}; }
    @notFound@
  }
}
CONFIGURATION
exec @nginx@/bin/nginx -e stderr -p "$work" -c "$work/nginx.conf"
START
mime=$(find \${nginx}/ -name mime.types | sort | head -n 1)
notFound=
if [ -f $out/${options.root}/404.html ]; then notFound='error_page 404 /404.html;'; fi
sed -i -e "s|@out@|$out|" -e "s|@mime@|$mime|" -e "s|@nginx@|\${nginx}|" -e "s|@bash@|\${bash}|" \\
  -e "s|@coreutils@|\${coreutils}|" -e "s|@notFound@|$notFound|" $out/bin/${options.name}
chmod 755 $out/bin/${options.name}`;
}

/** The attributes that those lines read. */
const STATIC_SERVER_INPUTS: readonly (readonly [string, string])[] = [
  ['nginx', 'pkgs.nginx'],
  ['bash', 'pkgs.bash'],
  ['coreutils', 'pkgs.coreutils'],
];

export function staticServerAttributes(indent: string): string {
  return STATIC_SERVER_INPUTS.map(([name, value]) => `${indent}${name} = ${value};`).join('\n');
}
