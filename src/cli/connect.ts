/** The way to Kiln: the server that `KILN_URL` names, else the same code in this process. */
import type { KilnApi } from '../api/kiln-api.ts';
import type { CommandContext } from './command-context.ts';

export interface ConnectOptions {
  /** Told what is being waited for or installed. */
  readonly onNotice?: (line: string) => void;
  /** True where this process must do the work itself. */
  readonly local?: boolean;
}

export async function connect(context: CommandContext, options: ConnectOptions = {}): Promise<KilnApi> {
  const url = context.env['KILN_URL'];
  if (url !== undefined && url !== '' && options.local !== true) {
    const { connectHttp } = await import('../api/http-client.ts');
    return connectHttp(url, { token: context.env['KILN_TOKEN'], signal: context.signal });
  }
  const { openKiln } = await import('../app/open-kiln.ts');
  const { createLocalApi } = await import('../app/local-api.ts');
  const kiln = await openKiln({
    env: context.env,
    signal: context.signal,
    onNotice: options.onNotice ?? ((line) => context.err.write(`${line}\n`)),
  });
  return createLocalApi(kiln, { interactive: true });
}
