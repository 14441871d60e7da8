import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import type { Command } from 'commander';
import { GENERATED_PAGES } from '../scripts/docs/generated-pages.ts';
import { silentContext } from '../scripts/docs/silent-context.ts';
import { ROOT } from '../scripts/docs/source-imports.ts';
import { createProgram } from '../src/cli/create-program.ts';

const pages = globSync(['*.md', 'docs/*.md'], { cwd: ROOT }).map((path) => ({
  path,
  text: readFileSync(join(ROOT, path), 'utf8'),
}));

for (const { path, render } of GENERATED_PAGES) {
  test(`${path} is what the code gives`, () => {
    const page = pages.find((candidate) => candidate.path === path)?.text ?? '';
    assert.equal(page, render(page), 'run: node scripts/generate-docs.ts');
  });
}

test('files and folders that the pages name are there', () => {
  const named = pages.flatMap(({ path, text }) => [
    ...[...text.matchAll(/`((?:src|test|scripts|nix|bench|docs|examples|tools)\/[\w./-]*)`/g)].map(
      (match) => ({
        path,
        target: match[1] ?? '',
      }),
    ),
    ...[...text.matchAll(/\]\((?!https?:|#)([^)#]+)[^)]*\)/g)].map((match) => ({
      path,
      target: join(dirname(path), match[1] ?? ''),
    })),
  ]);
  assert.ok(named.length > 50);
  assert.deepEqual(
    named.filter(({ target }) => !existsSync(join(ROOT, target))),
    [],
  );
});

test('commands and options that the pages show are there', () => {
  const program = createProgram(silentContext());
  const shown = pages.flatMap(({ path, text }) =>
    [...text.matchAll(/^```(?:sh|bash)?\n([^]*?)^```/gm)].flatMap((block) =>
      (block[1] ?? '')
        .split('\n')
        .map(
          (line) =>
            /(?:^|[|(] ?|^[A-Z_]+=\S+ )(?:bin\/)?kiln ([^|>)]*)/.exec(line.replace(/#(?=\s|$).*/, ''))?.[1],
        )
        .filter((line) => line !== undefined)
        .map((line) => ({ path, line })),
    ),
  );
  assert.ok(shown.length > 20);
  assert.deepEqual(
    shown.filter(({ line }) => !isKnown(program, line)),
    [],
  );
});

function isKnown(program: Command, line: string): boolean {
  let command = program;
  for (const word of line.split(/\s+/).filter((part) => part !== '')) {
    if (word.startsWith('--')) {
      const name = word.split('=')[0];
      if (name !== '--help' && !command.options.some(({ long }) => long === name)) return false;
      continue;
    }
    const child = command.commands.find((candidate) => candidate.name() === word);
    if (child === undefined && command.commands.length > 0) return false;
    command = child ?? command;
  }
  return true;
}
