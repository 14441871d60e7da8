/** `kiln image REF` */
import type { Command } from 'commander';
import { formatBytes } from '../../base/units.ts';
import type { ImageDetails } from '../../api/kiln-api.ts';
import { printJson, type CommandContext } from '../command-context.ts';
import { connect } from '../connect.ts';
import { table } from '../terminal.ts';

interface ImageFlags {
  readonly json?: boolean;
  readonly delete?: boolean;
  readonly pin?: boolean;
  readonly unpin?: boolean;
}

export function defineImage(program: Command, context: CommandContext): void {
  program
    .command('image')
    .summary('one image: layers, paths, configuration, start-up check')
    .description(
      'Shows an image of the embedded registry: its layers with sizes and store paths, how it runs, whether it started.',
    )
    .argument('<reference>', 'NAME, NAME:TAG or NAME@sha256:…')
    .option('--delete', 'delete the image; its store paths may then be collected')
    .option('--pin', 'keep the image whatever happens to its tags')
    .option('--unpin', 'keep it no longer than its tags and age do')
    .option('--json', 'one JSON document on stdout')
    .action(async (reference: string, flags: ImageFlags) => {
      await using kiln = await connect(context);
      if (flags.pin === true || flags.unpin === true) {
        await kiln.registry.pinImage(reference, flags.pin === true);
        return context.out.write(`${flags.pin === true ? 'pinned' : 'unpinned'} ${reference}\n`);
      }
      if (flags.delete === true) {
        await kiln.deleteImage(reference);
        return context.out.write(`deleted ${reference}\n`);
      }
      const image = await kiln.getImage(reference);
      if (flags.json === true) printJson(context, image);
      else printImage(context, image);
    });
}

function printImage(context: CommandContext, image: ImageDetails): void {
  const { style } = context.out;
  context.out.write(`${style('bold', image.reference)}\n${image.digest}  ${formatBytes(image.size)}\n\n`);
  const rows = image.layers.map((layer, index) => [
    String(index + 1),
    formatBytes(layer.size),
    layer.digest.slice(0, 19),
    layer.paths.length === 0 ? 'files of the image itself' : shortPaths(layer.paths),
  ]);
  context.out.write(`${table([['', 'SIZE', 'LAYER', 'PATHS'], ...rows], [1]).join('\n')}\n`);
  for (const check of image.startChecks ?? []) {
    const mark = check.passed ? style('green', '✓') : style('red', '✗');
    context.out.write(
      `\n${mark} ${check.profile} profile: ${check.detail}${check.reason === undefined ? '' : ` (${check.reason})`}`,
    );
  }
  context.out.write('\n');
}

function shortPaths(paths: readonly string[]): string {
  const names = paths.map((path) => path.slice('/nix/store/'.length + 33));
  return names.length <= 4 ? names.join(' ') : `${names.slice(0, 3).join(' ')} and ${names.length - 3} more`;
}
