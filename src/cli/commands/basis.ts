/** `kiln basis list | lock` */
import type { Command } from 'commander';
import { debianDirectory } from '../../setup/kiln-home.ts';
import { printJson, type CommandContext } from '../command-context.ts';
import { table } from '../terminal.ts';

export function defineBasis(program: Command, context: CommandContext): void {
  const basis = program
    .command('basis')
    .summary('the package set that comes with Kiln')
    .description(
      'The basis: a small package set with the names of nixpkgs, made from Debian packages, used where nixpkgs cannot be reached.',
    );
  basis
    .command('list')
    .description('Lists what the basis is made of, with locked versions.')
    .option('--json', 'one JSON document on stdout')
    .action(async (flags: { readonly json?: boolean }) => {
      const { readBasisLock } = await import('../../basis/basis-lock.ts');
      const { basisLockFile, basisPath } = await import('../../basis/basis-path.ts');
      const lock = await readBasisLock(basisLockFile());
      if (flags.json === true) return printJson(context, { path: basisPath(), lock });
      const rows = Object.entries(lock.systems).flatMap(([system, locked]) =>
        Object.entries(locked.debs).map(([name, deb]) => [system, name, deb.version]),
      );
      context.out.write(`${table(rows).join('\n')}\n`);
    });
  basis
    .command('lock')
    .description(
      "Resolves the basis again from Debian's signed index and the npm registry, and writes nix/basis/lock.json.",
    )
    .action(async () => {
      const { lockBasis } = await import('../../basis/lock-basis.ts');
      const { basisInputFile, basisLockFile } = await import('../../basis/basis-path.ts');
      await lockBasis({
        inputFile: basisInputFile(),
        lockFile: basisLockFile(),
        debianFolder: debianDirectory(context.env),
        signal: context.signal,
        onProgress: (line) => context.err.write(`${line}\n`),
      });
    });
}
