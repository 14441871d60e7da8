// Runs in the build sandbox, before and after the package manager.
//   lock DEPENDENCIES        point package-lock.json at the downloaded tarballs
//   programs NODE            make scripts and programs below node_modules start without /usr/bin/env and /lib64
//   serve DEPENDENCIES       a registry of the tarballs on a free port of this sandbox; prints its address
//   clean                    remove what an installation leaves behind that names build tools
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';

const [, , verb, argument] = process.argv;

function lock(dependencies) {
  const name = fs.existsSync('npm-shrinkwrap.json') ? 'npm-shrinkwrap.json' : 'package-lock.json';
  const content = JSON.parse(fs.readFileSync(name, 'utf8'));
  for (const entry of JSON.parse(fs.readFileSync(path.join(dependencies, 'packages.json'), 'utf8'))) {
    for (const location of entry.locations) {
      const locked = content.packages[location];
      locked.resolved = `file:${dependencies}/${entry.file}`;
      locked.integrity = entry.integrity;
    }
  }
  delete content.dependencies;
  fs.chmodSync(name, 0o644);
  fs.writeFileSync(name, JSON.stringify(content));
}

function* filesBelow(folder) {
  for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
    const file = path.join(folder, entry.name);
    if (entry.isDirectory()) yield* filesBelow(file);
    else if (entry.isFile()) yield file;
  }
}

function* nodeModules(folder) {
  for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
    if (!entry.isDirectory() || entry.name === '.git') continue;
    const below = path.join(folder, entry.name);
    if (entry.name === 'node_modules') yield below;
    else yield* nodeModules(below);
  }
}

function programs(node) {
  const bin = path.dirname(node);
  const loader = execFileSync('patchelf', ['--print-interpreter', fs.realpathSync(node)], {
    encoding: 'utf8',
  }).trim();
  const libraries = execFileSync('patchelf', ['--print-rpath', fs.realpathSync(node)], {
    encoding: 'utf8',
  }).trim();
  const head = Buffer.alloc(128);
  for (const folder of nodeModules('.')) {
    for (const file of filesBelow(folder)) {
      const stat = fs.statSync(file);
      if (stat.size < 12) continue;
      const handle = fs.openSync(file, 'r');
      const length = fs.readSync(handle, head, 0, head.length, 0);
      fs.closeSync(handle);
      const start = head.toString('latin1', 0, length);
      if (start.startsWith('#!')) shebang(file, stat, start, bin);
      else if (start.startsWith('\x7fELF') && (stat.mode & 0o111) !== 0)
        relocate(file, stat, loader, libraries);
    }
  }
}

function shebang(file, stat, start, bin) {
  const match = /^#! *(?:\/usr)?(?:\/local)?\/bin\/(?:env +(?:-S +)?)?(node|sh|bash)\b([^\n]*)\n?/.exec(
    start,
  );
  if (match === null) return;
  const program = match[1] === 'node' ? path.join(bin, 'node') : process.env.SHELL_PROGRAM;
  const text = fs.readFileSync(file, 'latin1');
  fs.chmodSync(file, stat.mode | 0o200);
  fs.writeFileSync(
    file,
    `#!${program}${match[2].replace(/\r$/, '')}\n${text.slice(text.indexOf('\n') + 1)}`,
    'latin1',
  );
}

// Only programs name a loader; libraries and add-ons find theirs in the process that loads them.
function relocate(file, stat, loader, libraries) {
  let own;
  try {
    own = execFileSync('patchelf', ['--print-interpreter', file], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
  } catch {
    return;
  }
  if (!own.startsWith('/lib')) return;
  fs.chmodSync(file, stat.mode | 0o200);
  execFileSync('patchelf', ['--set-interpreter', loader, file]);
  if (libraries !== '') execFileSync('patchelf', ['--add-rpath', libraries, file]);
}

// `/<name>/-/<file>-<version>.tgz` is where every registry has its tarballs.
function serve(dependencies) {
  const files = new Map();
  for (const { name, version, file } of JSON.parse(
    fs.readFileSync(path.join(dependencies, 'packages.json'), 'utf8'),
  )) {
    files.set(`/${name}/-/${name.replace(/^.*\//, '')}-${version}.tgz`, file);
  }
  const server = http.createServer((request, response) => {
    const file = files.get(decodeURIComponent(request.url));
    if (file === undefined) response.writeHead(404).end(`not among the locked packages: ${request.url}`);
    else fs.createReadStream(path.join(dependencies, file)).pipe(response);
  });
  server.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}/`));
}

function clean() {
  for (const folder of nodeModules('.')) {
    for (const leftover of ['.package-lock.json', '.cache', '.vite', '.yarn-integrity', '.modules.yaml']) {
      fs.rmSync(path.join(folder, leftover), { recursive: true, force: true });
    }
    for (const file of filesBelow(folder)) {
      if (
        /\/build\/(Makefile|binding\.Makefile|config\.gypi|[^/]+\.mk|Release\/(\.deps|obj|obj\.target)\/.*)$/.test(
          file,
        )
      ) {
        fs.rmSync(file, { force: true });
      }
    }
  }
}

if (verb === 'lock') lock(argument);
else if (verb === 'programs') programs(argument);
else if (verb === 'serve') serve(argument);
else if (verb === 'clean') clean();
else throw new Error(`prepare-node: unknown verb ${verb}`);
