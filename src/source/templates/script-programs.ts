/** Which programs a script of package.json runs, as far as its text tells. */

/** Each command of the script: its words, with the scripts that it runs in their place. */
export function scriptCommands(
  scripts: Readonly<Record<string, string>>,
  name: string,
): readonly (readonly string[])[] {
  return follow(scripts, name, new Set());
}

/** `vite`, `ng serve` …: what serves a site to the person who writes it, rebuilding it at every change. */
export function isDevelopmentServer(words: readonly string[]): boolean {
  const [program = '', first = ''] = words;
  const verbs = SERVING_VERBS[program];
  return DEVELOPMENT_SERVERS.has(program) || (verbs !== undefined && verbs.includes(first));
}

/** The packages of `names` whose programs the commands run. */
export function packagesOf(
  commands: readonly (readonly string[])[],
  names: Iterable<string>,
): readonly string[] {
  const programs = new Set(commands.map(([program = '']) => program));
  // `node -r ts-node/register`, `node --import tsx`.
  const loaded = commands.flatMap((words) =>
    words.flatMap((word, at) =>
      /^(-r|--require|--loader|--import|--experimental-loader)$/.test(words[at - 1] ?? '') ? [word] : [],
    ),
  );
  // Packages of types are named as what they describe.
  const candidates = [...names].filter((name) => !name.startsWith('@types/'));
  return candidates.filter(
    (name) =>
      (PROGRAMS[name] ?? [name.replace(/^.*\//, '')]).some((program) => programs.has(program)) ||
      loaded.some((module) => module === name || module.startsWith(`${name}/`)),
  );
}

const DEVELOPMENT_SERVERS = new Set([
  'browser-sync',
  'http-server',
  'json-server',
  'light-server',
  'lite-server',
  'live-server',
  'serve',
  'webpack-dev-server',
]);
const SERVING_VERBS: Readonly<Record<string, readonly string[]>> = {
  astro: ['dev', 'preview', 'start', ''],
  docusaurus: ['start', 'serve'],
  eleventy: ['--serve'],
  gulp: ['', 'serve', 'watch', 'dev', 'default', 'start'],
  grunt: ['', 'serve', 'watch', 'dev', 'default', 'start'],
  ng: ['serve', 's'],
  parcel: ['', 'serve', 'index.html', 'src/index.html', 'public/index.html'],
  'react-app-rewired': ['start'],
  'react-scripts': ['start'],
  vite: ['', 'dev', 'preview', 'serve', '--host', '--port', '--open', '--mode'],
  vitepress: ['dev', 'preview', 'serve'],
  'vue-cli-service': ['serve'],
  webpack: ['serve'],
};
/** Packages whose program is not named as they are. */
const PROGRAMS: Readonly<Record<string, readonly string[]>> = {
  '@angular/cli': ['ng'],
  '@babel/node': ['babel-node'],
  '@nestjs/cli': ['nest'],
  'dotenv-cli': ['dotenv'],
  'env-cmd': ['env-cmd'],
  'npm-run-all': ['npm-run-all', 'run-s', 'run-p'],
  'npm-run-all2': ['npm-run-all', 'run-s', 'run-p'],
  'ts-node': ['ts-node', 'ts-node-esm', 'ts-node-transpile-only'],
  'ts-node-dev': ['ts-node-dev', 'tsnd'],
  typescript: ['tsc'],
};

function follow(
  scripts: Readonly<Record<string, string>>,
  name: string,
  seen: ReadonlySet<string>,
): readonly (readonly string[])[] {
  const text = scripts[name];
  if (text === undefined || seen.has(name)) return [];
  const inner = new Set([...seen, name]);
  return text
    .split(/&&|\|\||[;|&"'\n]/)
    .map((part) => commandWords(part.trim()))
    .filter((words) => words.length > 0)
    .flatMap((words) => {
      const called = calledScripts(words).filter((script) => scripts[script] !== undefined);
      return called.length === 0
        ? [words]
        : [words.slice(0, 1), ...called.flatMap((script) => follow(scripts, script, inner))];
    });
}

/** Without variables, and without programs that only run another. */
function commandWords(text: string): readonly string[] {
  const words = text.split(/\s+/).filter((word) => word !== '');
  while (
    words.length > 1 &&
    (/^[A-Za-z_]\w*=/.test(words[0] ?? '') || /^(npx|exec|env|time)$/.test(words[0] ?? ''))
  )
    words.shift();
  return words;
}

function calledScripts(words: readonly string[]): readonly string[] {
  const [program = '', first = '', second = ''] = words;
  if (/^(run-s|run-p|npm-run-all)$/.test(program))
    return words.slice(1).filter((word) => !word.startsWith('-'));
  if (!/^(npm|yarn|pnpm|bun)$/.test(program)) return [];
  if (first === 'run' || first === 'run-script') return [second];
  return program === 'npm' && !['start', 'test'].includes(first) ? [] : [first];
}
