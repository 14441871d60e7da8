import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { silentContext } from '../scripts/docs/silent-context.ts';
import { completionScript, type Shell } from '../src/cli/completion-script.ts';
import { createProgram } from '../src/cli/create-program.ts';
import { runProcess } from '../src/process/run-process.ts';
import { findProgram } from '../src/setup/find-program.ts';

const shells = ['bash', 'zsh', 'fish'] as const;
const missing = new Map<Shell, string>();
for (const shell of shells) {
  if ((await findProgram(shell)) === undefined) missing.set(shell, `${shell} is not installed`);
}

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kiln-completion-'));
  await writeFile(join(folder, 'site.nix'), '');
  for (const shell of shells) {
    await writeFile(join(folder, `kiln.${shell}`), completionScript(createProgram(silentContext()), shell));
  }
});
after(() => rm(folder, { recursive: true, force: true }));

/** What the shell offers for the last word of `line`, sorted. */
const complete: Record<'bash' | 'fish', (line: string) => Promise<string[]>> = {
  async bash(line) {
    const words = line.split(' ').map((word) => `'${word}'`);
    return await offered('bash', [
      '--norc',
      '-c',
      `source ./kiln.bash; COMP_WORDS=(${words.join(' ')}); COMP_CWORD=${words.length - 1}; _kiln; printf '%s\\n' "\${COMPREPLY[@]}"`,
    ]);
  },
  async fish(line) {
    return await offered('fish', ['--no-config', '-c', `source ./kiln.fish; complete -C '${line}'`]);
  },
};

async function offered(shell: string, args: readonly string[]): Promise<string[]> {
  const { stdout, stderr, exitCode } = await runProcess(shell, args, {
    cwd: folder,
    env: { ...process.env, HOME: folder, XDG_CONFIG_HOME: folder, XDG_DATA_HOME: folder },
    deadlineMs: 60_000,
  });
  assert.deepEqual({ exitCode, stderr }, { exitCode: 0, stderr: '' });
  const words = stdout.split('\n').map((row) => row.split('\t')[0] ?? '');
  return words.filter((word) => word !== '').toSorted();
}

for (const shell of ['bash', 'fish'] as const) {
  describe(`completion in ${shell}`, { skip: missing.get(shell) ?? false }, () => {
    const expected: readonly [line: string, what: string, words: readonly string[]][] = [
      ['kiln comp', 'a command', ['completion']],
      ['kiln im', 'several commands', ['image', 'images']],
      ['kiln basis ', 'the commands of a group', ['list', 'lock']],
      ['kiln completion ', 'the values of an argument', ['bash', 'fish', 'zsh']],
      ['kiln build --packages ', 'the values of an option', ['auto', 'basis', 'nixpkgs']],
      ['kiln build --json --ful', 'an option behind another', ['--full-clone']],
      ['kiln build si', 'a file', ['site.nix']],
      ['kiln doctor si', 'no file where none can stand', []],
      [
        'kiln build images --ful',
        'an option behind an argument that is called like a command',
        ['--full-clone'],
      ],
    ];
    for (const [line, what, words] of expected) {
      test(`gives ${what} for "${line}"`, async () => {
        assert.deepEqual(await complete[shell](line), words);
      });
    }
  });
}

describe('completion in zsh', { skip: missing.get('zsh') ?? false }, () => {
  /** Types `keys` into an interactive zsh and gives the line that is left; also what was listed on the way. */
  async function type(keys: string): Promise<{ line: string; screen: string }> {
    await writeFile(join(folder, 'keys'), keys);
    const program = `
      zmodload zsh/zpty
      zpty terminal zsh -f -i
      zpty -w terminal "PS1=; autoload -U compinit; compinit -u -D; source ./kiln.zsh; bindkey -e"
      zpty -w terminal 'show() { print -r -- "<[$BUFFER]>" }; zle -N show; bindkey "^Xs" show; setopt nobeep; print -r "rea""dy"'
      zpty -r terminal before '*ready*'
      zpty -w -n terminal "$(<keys)"
      zpty -w -n terminal $'\\C-Xs'
      zpty -r terminal screen '*<\\[*\\]>*'
      print -r -- "$screen"
    `;
    const { stdout, stderr } = await runProcess('zsh', ['-f', '-c', program], {
      cwd: folder,
      env: { ...process.env, HOME: folder, ZDOTDIR: folder, TERM: 'xterm', COLUMNS: '200', LINES: '80' },
      deadlineMs: 60_000,
    });
    const line = /<\[(.*?)\]>/s.exec(stdout)?.[1];
    assert.ok(line !== undefined, stdout + stderr);
    return { line, screen: stdout };
  }

  test('finishes a command, the value of its argument, an option and the value of an option', async () => {
    assert.equal((await type('kiln comp\tfi\t')).line, 'kiln completion fish ');
    assert.equal(
      (await type('kiln build --ful\t--packages ba\t')).line,
      'kiln build --full-clone --packages basis ',
    );
  });

  test('finishes the name of a file', async () => {
    assert.equal((await type('kiln build si\t')).line, 'kiln build site.nix ');
  });

  test('lists commands with what they do', async () => {
    assert.match((await type('kiln im\t\t')).screen, /images\s+-- list the images of the registry/);
  });
});
