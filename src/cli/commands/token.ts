/** `kiln token create | list | revoke | user` */
import type { Command } from 'commander';
import { text as readText } from 'node:stream/consumers';
import { KilnError } from '../../base/error.ts';
import { Secret } from '../../base/secret.ts';
import { parseDuration } from '../../base/units.ts';
import { printJson, type CommandContext } from '../command-context.ts';
import { connect } from '../connect.ts';
import { examples } from '../create-examples.ts';
import { table } from '../terminal.ts';

interface CreateFlags {
  readonly scope: readonly string[];
  readonly expires?: string;
  readonly json?: boolean;
}

const collect = (value: string, all: readonly string[]): readonly string[] => [...all, value];
const SCOPE = 'PATTERN:pull,push,delete (repeatable), e.g. "team/*:pull,push"; "api" for everything';

export function defineToken(program: Command, context: CommandContext): void {
  const token = program
    .command('token')
    .summary('tokens for the registry and the API')
    .description('Tokens for the registry and the API. Only their hashes are stored.');
  defineCreate(token, context);
  token
    .command('list')
    .description('Lists the tokens with their scopes; the tokens themselves are stored nowhere.')
    .option('--json', 'one JSON document on stdout')
    .action(async (flags: { readonly json?: boolean }) => {
      await using kiln = await connect(context);
      const tokens = await kiln.registry.listTokens();
      if (flags.json === true) return printJson(context, tokens);
      if (tokens.length === 0)
        return context.out.write('No tokens yet. Make one: kiln token create NAME --scope …\n');
      const rows = tokens.map((entry) => [
        entry.name,
        entry.scopes.join(' '),
        entry.createdAt.slice(0, 10),
        entry.expiresAt?.slice(0, 10) ?? 'never',
        entry.lastUsedAt?.slice(0, 10) ?? 'never',
      ]);
      context.out.write(`${table([['NAME', 'SCOPES', 'CREATED', 'EXPIRES', 'USED'], ...rows]).join('\n')}\n`);
    });
  token
    .command('revoke')
    .description('Makes a token worthless. What was given out for it ends within five minutes.')
    .argument('<name>', 'name of the token')
    .action(async (name: string) => {
      await using kiln = await connect(context);
      await kiln.registry.revokeToken(name);
      context.out.write(`revoked ${name}\n`);
    });
  token
    .command('user')
    .description('Reads a password from standard input and prints a line for the file registry.usersFile.')
    .argument('<name>', 'name of the user')
    .option('--scope <scope>', SCOPE, collect, [])
    .addHelpText(
      'after',
      examples([['kiln token user ann --scope "*:pull" <password >>users', 'add a user']]),
    )
    .action(async (name: string, flags: { readonly scope: readonly string[] }) => {
      context.out.write(`${await userLine(name, flags.scope)}\n`);
    });
}

function defineCreate(token: Command, context: CommandContext): void {
  token
    .command('create')
    .description('Makes a token and prints it, this once. As a user name for it, anything will do.')
    .argument('<name>', 'what it is for')
    .option('--scope <scope>', SCOPE, collect, [])
    .option('--expires <duration>', 'time until it is worthless, e.g. 90d; default: never')
    .option('--json', 'one JSON document on stdout')
    .addHelpText(
      'after',
      examples([
        ['kiln token create ci --scope "team/*:pull,push"', 'for docker login, skopeo, podman …'],
        ['kiln token create laptop --scope api', 'for KILN_TOKEN'],
      ]),
    )
    .action(async (name: string, flags: CreateFlags) => {
      await using kiln = await connect(context);
      const { token: made } = await kiln.registry.createToken({
        name,
        scopes: flags.scope,
        ...(flags.expires === undefined ? {} : { ttlMs: parseDuration(flags.expires) }),
      });
      if (flags.json === true) printJson(context, { name, token: made });
      else context.out.write(`${made}\n`);
    });
}

async function userLine(name: string, scopes: readonly string[]): Promise<string> {
  const { hashPassword } = await import('../../registry/password-hash.ts');
  const { parseAccessScope } = await import('../../registry/access-scope.ts');
  for (const scope of scopes) parseAccessScope(scope);
  if (!/^[^\s:#]{1,100}$/.test(name) || scopes.length === 0)
    throw new KilnError('usage', 'a user needs a name without spaces and colons, and a --scope');
  const password = (await readText(process.stdin)).replace(/\r?\n$/, '');
  if (password === '') throw new KilnError('usage', 'no password came on standard input');
  return [name, await hashPassword(new Secret(password)), ...scopes].join(' ');
}
