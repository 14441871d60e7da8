// Runs in the build sandbox, before and after the package manager.
//   lock DEPENDENCIES        point package-lock.json at the downloaded tarballs
//   programs NODE            make scripts and programs below node_modules start without /usr/bin/env and /lib64
//   serve DEPENDENCIES       a registry of the tarballs on a free port of this sandbox; prints its address
//   tarball DEPENDENCIES AT  print the tarball that goes there
//   restore FOLDER           take what was built from the installation there
//   site FOLDER…             print the folder with the built site
//   clean                    remove what an installation leaves behind that names build tools
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import zlib from 'node:zlib';

const [, , verb, argument] = process.argv;

function lock(dependencies) {
  const name = fs.existsSync('npm-shrinkwrap.json') ? 'npm-shrinkwrap.json' : 'package-lock.json';
  const content = JSON.parse(fs.readFileSync(name, 'utf8'));
  const entries = JSON.parse(fs.readFileSync(path.join(dependencies, 'packages.json'), 'utf8'));
  if (content.packages === undefined) content.packages = currentPackages(content, entries, dependencies);
  content.lockfileVersion = Math.max(2, content.lockfileVersion ?? 1);
  for (const entry of entries) {
    for (const location of entry.locations) {
      const locked = content.packages[location];
      locked.resolved = `file:${dependencies}/${entry.file}`;
      locked.integrity = entry.integrity;
    }
  }
  dropAbsent(content.packages);
  delete content.dependencies;
  fs.chmodSync(name, 0o644);
  fs.writeFileSync(name, JSON.stringify(content));
}

// npm leaves packages for other systems out of some locks, and then wants to ask the registry about them.
function dropAbsent(packages) {
  for (const [location, entry] of Object.entries(packages)) {
    if (location === '' || entry.optionalDependencies === undefined) continue;
    for (const name of Object.keys(entry.optionalDependencies)) {
      const parts = location.split('/node_modules/');
      const places = parts.map((_, at) => `${parts.slice(0, at + 1).join('/node_modules/')}/node_modules/${name}`);
      if (![...places, `node_modules/${name}`].some((place) => packages[place] !== undefined)) {
        delete entry.optionalDependencies[name];
      }
    }
  }
}

// A lock of npm 6 has the places and versions; what packages need and bring along stands in the packages themselves.
function currentPackages(content, entries, dependencies) {
  const files = new Map(entries.flatMap(({ file, locations }) => locations.map((location) => [location, file])));
  const packages = { '': JSON.parse(fs.readFileSync('package.json', 'utf8')) };
  const visit = (locked, base) => {
    for (const [name, entry] of Object.entries(locked ?? {})) {
      const location = `${base}node_modules/${name}`;
      const { dev, optional, bundled, version } = entry;
      const own = version?.startsWith('file:') ? version.slice(5).replace(/^\.\//, '') : undefined;
      if (own !== undefined) {
        packages[location] = { resolved: own, link: true, dev, optional };
        packages[own] = JSON.parse(fs.readFileSync(path.join(own, 'package.json'), 'utf8'));
      } else if (bundled) {
        packages[location] = { version, dev, optional, inBundle: true, dependencies: entry.requires || undefined };
      } else {
        const file = files.get(location);
        const manifest = file === undefined ? { version } : packedManifest(path.join(dependencies, file));
        packages[location] = { dev, optional, ...manifest };
      }
      visit(entry.dependencies, `${location}/`);
    }
  };
  visit(content.dependencies, '');
  return packages;
}

const MANIFEST_FIELDS = [
  'version',
  'dependencies',
  'optionalDependencies',
  'peerDependencies',
  'peerDependenciesMeta',
  'bundleDependencies',
  'bundledDependencies',
  'bin',
  'engines',
  'os',
  'cpu',
];

// package.json of a tarball: a tar archive is a row of headers of 512 bytes, each followed by its file.
function packedManifest(tarball) {
  const archive = zlib.gunzipSync(fs.readFileSync(tarball));
  for (let at = 0; at + 512 <= archive.length; ) {
    const name = archive.toString('utf8', at, at + 100).replace(/\0.*$/s, '');
    const size = Number.parseInt(archive.toString('latin1', at + 124, at + 136), 8) || 0;
    if (/^[^/]+\/package\.json$/.test(name.replace(/^\.\//, ''))) {
      const manifest = JSON.parse(archive.toString('utf8', at + 512, at + 512 + size).replace(/^\ufeff/, ''));
      if (typeof manifest.bin === 'string') manifest.bin = { [manifest.name.replace(/^.*\//, '')]: manifest.bin };
      const fields = MANIFEST_FIELDS.filter((field) => manifest[field] !== undefined);
      return Object.fromEntries(fields.map((field) => [field, manifest[field]]));
    }
    at += 512 + Math.ceil(size / 512) * 512;
  }
  throw new Error(`${tarball} holds no package.json`);
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
  const own = execFileSync('patchelf', ['--print-rpath', fs.realpathSync(node)], { encoding: 'utf8' }).trim();
  const libraries = [...new Set([path.dirname(loader), ...own.split(':')])].filter((folder) => folder !== '').join(':');
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
      else if (start.startsWith('\x7fELF'))
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

const ask = (option, file) => {
  try {
    return execFileSync('patchelf', [option, file], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  } catch {
    return '';
  }
};

// patchelf 0.18 sorts headers in a way that some libraries do not survive; older ones do not know the option.
let unsorted;
function change(file, ...words) {
  unsorted ??= execFileSync('patchelf', ['--help'], { encoding: 'utf8', stdio: 'pipe' }).includes('--no-sort') ? ['--no-sort'] : [];
  execFileSync('patchelf', [...unsorted, ...words, file]);
}

// Parts of the C library that Node.js itself has not loaded, so that add-ons find them nowhere. Changing the add-ons instead
// breaks some (libvips). The folder is for LD_LIBRARY_PATH.
const SYSTEM_LIBRARY = /^lib(?:rt|util|resolv|nsl|anl)\.so\.\d+$/gm;
const SYSTEM_LIBRARIES = '.system-libraries';

// Programs name a loader; add-ons and libraries are loaded by a program that has one.
function relocate(file, stat, loader, libraries) {
  if (!ask('--print-interpreter', file).startsWith('/lib')) {
    for (const [library] of ask('--print-needed', file).matchAll(SYSTEM_LIBRARY)) link(library, path.dirname(loader));
    return;
  }
  fs.chmodSync(file, stat.mode | 0o200);
  change(file, '--set-interpreter', loader);
  change(file, '--add-rpath', libraries);
}

function link(library, folder) {
  const place = path.join(SYSTEM_LIBRARIES, library);
  if (fs.existsSync(place) || !fs.existsSync(path.join(folder, library))) return;
  fs.mkdirSync(SYSTEM_LIBRARIES, { recursive: true });
  fs.symlinkSync(path.join(folder, library), place);
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

// The tarball that was downloaded for a place.
function tarball(dependencies, location) {
  const entries = JSON.parse(fs.readFileSync(path.join(dependencies, 'packages.json'), 'utf8'));
  return path.join(dependencies, entries.find(({ locations }) => locations.includes(location)).file);
}

// Brings what was built in a whole installation into one without packages for development.
function restore(whole) {
  const built = new Map();
  for (const folder of packageFolders(path.join(whole, 'node_modules'))) built.set(identity(folder), folder);
  for (const folder of packageFolders('node_modules')) {
    const same = path.join(whole, folder);
    const from = fs.existsSync(same) && identity(same) === identity(folder) ? same : built.get(identity(folder));
    if (from === undefined) continue;
    for (const name of fs.readdirSync(from)) {
      if (name === 'node_modules') continue;
      fs.rmSync(path.join(folder, name), { recursive: true, force: true });
      fs.cpSync(path.join(from, name), path.join(folder, name), { recursive: true, verbatimSymlinks: true });
    }
  }
}

function* packageFolders(modules) {
  if (!fs.existsSync(modules)) return;
  for (const entry of fs.readdirSync(modules, { withFileTypes: true })) {
    if (!entry.isDirectory() || entry.name.startsWith('.')) continue;
    const folder = path.join(modules, entry.name);
    if (entry.name.startsWith('@')) yield* packageFolders(folder);
    else if (fs.existsSync(path.join(folder, 'package.json'))) {
      yield folder;
      yield* packageFolders(path.join(folder, 'node_modules'));
    }
  }
}

function identity(folder) {
  const { name, version } = JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8'));
  return `${name}@${version}`;
}

// Prints the first of the folders that holds a page, or the folder below it: some builders name one after the application.
function site(folders) {
  for (const folder of folders.filter((name) => fs.existsSync(name))) {
    const below = fs.readdirSync(folder).map((name) => path.join(folder, name));
    const found = [folder, path.join(folder, 'browser'), ...below, ...below.map((name) => path.join(name, 'browser'))];
    const page = found.find((name) => fs.existsSync(path.join(name, 'index.html')));
    if (page !== undefined) return page;
  }
  return folders[0];
}

if (verb === 'lock') lock(argument);
else if (verb === 'programs') programs(argument);
else if (verb === 'serve') serve(argument);
else if (verb === 'clean') clean();
else if (verb === 'tarball') console.log(tarball(argument, process.argv[4]));
else if (verb === 'restore') restore(argument);
else if (verb === 'site') console.log(site(process.argv.slice(3)));
else throw new Error(`prepare-node: unknown verb ${verb}`);
