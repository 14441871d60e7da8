/** `kiln cache info | gc | key` */
import type { Command } from 'commander';
import { formatBytes } from '../../base/units.ts';
import { printJson, type CommandContext } from '../command-context.ts';
import { connect } from '../connect.ts';
import { defineCacheKey } from './cache-key.ts';

interface GcFlags {
  readonly dryRun?: boolean;
  readonly olderThan?: string;
  readonly json?: boolean;
}

export function defineCache(program: Command, context: CommandContext): void {
  const cache = program
    .command('cache')
    .summary('the store and what builds reuse of it')
    .description('The Nix store as a cache.');
  cache
    .command('info')
    .description('Size of the store and how often builds found what they needed.')
    .option('--json', 'one JSON document on stdout')
    .action(async (flags: { readonly json?: boolean }) => {
      await using kiln = await connect(context);
      const statistics = await kiln.cacheStatistics();
      if (flags.json === true) return printJson(context, statistics);
      context.out.write(
        `${statistics.paths} store paths, ${formatBytes(statistics.size)}\nhit rate ${statistics.hitRate.toFixed(1)} % (${statistics.hits} found, ${statistics.misses} built or fetched)\n`,
      );
    });
  cache
    .command('gc')
    .description('Collects garbage: store paths that no image, build or other root holds.')
    .option('--dry-run', 'only tell what would go')
    .option('--older-than <days>', 'forget builds older than this first, so that their results may go')
    .option('--json', 'one JSON document on stdout')
    .action(async (flags: GcFlags) => {
      await using kiln = await connect(context);
      const result = await kiln.collectGarbage({
        dryRun: flags.dryRun ?? false,
        ...(flags.olderThan === undefined ? {} : { olderThanDays: Number(flags.olderThan) }),
      });
      if (flags.json === true) return printJson(context, result);
      const verb = flags.dryRun === true ? 'would be removed' : 'removed';
      context.out.write(`${result.paths} store paths ${verb}, ${formatBytes(result.freedBytes)}\n`);
    });
  defineCacheKey(cache, context);
}
