/** `kiln image REF`, `kiln image diff A B`, `kiln image index NAME:TAG REF…` */
import { resolve } from 'node:path';
import { Option, type Command } from 'commander';
import { KilnError } from '../../base/error.ts';
import { formatBytes } from '../../base/units.ts';
import type { KilnApi } from '../../api/kiln-api.ts';
import { printJson, type CommandContext } from '../command-context.ts';
import { connect } from '../connect.ts';
import { examples } from '../create-examples.ts';
import { writeArchive, writeLayout } from '../export-image.ts';
import { printDifference, printImage } from '../print-image.ts';

interface ImageFlags {
  readonly json?: boolean;
  readonly delete?: boolean;
  readonly export?: string;
  readonly format: 'oci' | 'docker' | 'oci-dir';
}

export function defineImage(program: Command, context: CommandContext): void {
  const image = program
    .command('image')
    .summary('one image: layers, packages, what is new, configuration, start-up check')
    .description(
      'Shows an image of the embedded registry: its layers and packages with sizes, what is new since the release before, what keeps each large path in it, how it runs, whether it started. Or exports it.',
    )
    .argument('<reference>', 'NAME, NAME:TAG or NAME@sha256:…')
    .option(
      '--export <file>',
      'write the image to a file (- for stdout), or with --format oci-dir to a folder',
    )
    .addOption(
      new Option('--format <format>', 'what to export')
        .choices(['oci', 'docker', 'oci-dir'])
        .default('oci', 'oci: an archive that docker load, podman load and skopeo take'),
    )
    .option('--delete', 'delete the image; its store paths may then be collected')
    .option('--json', 'one JSON document on stdout')
    .addHelpText(
      'after',
      examples([
        ['kiln image web', 'the newest release'],
        ['kiln image web --export web.tar && docker load -i web.tar', 'into a Docker engine'],
        ['kiln image diff web:v1 web:v2', 'what changed'],
        ['kiln image index web:v2 web:v2-amd64 web:v2-arm64', 'one name for two platforms'],
      ]),
    )
    .action((reference: string, flags: ImageFlags) => runImageCommand(context, reference, flags));
  defineDiff(image, context);
  defineIndex(image, context);
}

async function runImageCommand(context: CommandContext, reference: string, flags: ImageFlags): Promise<void> {
  await using kiln = await connect(context);
  if (flags.delete === true) {
    await kiln.deleteImage(reference);
    return context.out.write(`deleted ${reference}\n`);
  }
  if (flags.export !== undefined) return await exportTo(context, kiln, reference, flags.export, flags);
  const image = await kiln.getImage(reference);
  if (flags.json === true) printJson(context, image);
  else printImage(context, image);
}

async function exportTo(
  context: CommandContext,
  kiln: KilnApi,
  reference: string,
  target: string,
  flags: ImageFlags,
): Promise<void> {
  const folder = flags.format === 'oci-dir';
  if (folder && target === '-') throw new KilnError('usage', '--format oci-dir writes a folder, not stdout');
  const archive = kiln.images.exportImage(reference, flags.format === 'docker' ? 'docker' : 'oci');
  const path = target === '-' ? target : resolve(context.cwd, target);
  const bytes = await (folder ? writeLayout : writeArchive)(archive, path, context.signal);
  const said = { path: target, format: flags.format, bytes };
  if (flags.json === true && target !== '-') printJson(context, said);
  else context.err.write(`wrote ${target === '-' ? 'the image' : target}, ${formatBytes(bytes)}\n`);
}

function defineDiff(image: Command, context: CommandContext): void {
  image
    .command('diff')
    .summary('what changed from one image to another')
    .description(
      'Compares two images of the embedded registry: packages with versions and sizes, configuration, and the layers that travel.',
    )
    .argument('<from>', 'the older one: NAME, NAME:TAG or NAME@sha256:…')
    .argument('<to>', 'the newer one')
    .option('--json', 'one JSON document on stdout')
    .action(async (from: string, to: string, _flags: unknown, command: Command) => {
      await using kiln = await connect(context);
      const difference = await kiln.images.compare(from, to);
      if (command.optsWithGlobals()['json'] === true) printJson(context, difference);
      else printDifference(context, difference);
    });
}

function defineIndex(image: Command, context: CommandContext): void {
  image
    .command('index')
    .summary('one name for images of several platforms')
    .description(
      'Puts an index over images that are in the registry, one per platform. Nothing of them is run or unpacked.',
    )
    .argument('<reference>', 'NAME:TAG of the index')
    .argument('<members...>', 'images of the registry')
    .option('--json', 'one JSON document on stdout')
    .action(async (reference: string, members: string[], _flags: unknown, command: Command) => {
      await using kiln = await connect(context);
      const { digest } = await kiln.images.createIndex(reference, members);
      if (command.optsWithGlobals()['json'] === true) printJson(context, { reference, digest });
      else context.out.write(`${reference} is ${digest}, of ${members.length} images\n`);
    });
}
