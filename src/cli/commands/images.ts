/** `kiln images` */
import type { Command } from 'commander';
import { systemClock } from '../../base/clock.ts';
import { formatBytes } from '../../base/units.ts';
import { printJson, type CommandContext } from '../command-context.ts';
import { connect } from '../connect.ts';
import { printKept } from '../print-kept.ts';
import { table, timeAgo } from '../terminal.ts';

export function defineImages(program: Command, context: CommandContext): void {
  program
    .command('images')
    .summary('list the images of the registry')
    .description('Lists the images of the embedded registry with digest and size.')
    .option('--explain', 'why each is kept, and which will be removed')
    .option('--json', 'one JSON document on stdout')
    .action(async (flags: { readonly json?: boolean; readonly explain?: boolean }) => {
      await using kiln = await connect(context);
      if (flags.explain === true)
        return printKept(context, await kiln.registry.explainImages(), flags.json === true);
      const images = await kiln.listImages();
      if (flags.json === true) return printJson(context, images);
      if (images.length === 0) return context.out.write('No images yet. Make one: kiln build .\n');
      const rows = images.map((image) => [
        image.reference,
        image.digest.slice(0, 19),
        formatBytes(image.size),
        timeAgo(Date.parse(image.createdAt), systemClock.now()),
        image.buildId ?? '',
      ]);
      context.out.write(
        `${table([['IMAGE', 'DIGEST', 'SIZE', 'WHEN', 'BUILD'], ...rows], [2]).join('\n')}\n`,
      );
    });
}
