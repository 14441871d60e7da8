/** The application that `template:node` builds. */
export const nodeStarter: Readonly<Record<string, string>> = {
  'package.json': `${JSON.stringify({ name: 'hello-node', version: '1.0.0', private: true, type: 'module', scripts: { start: 'node server.js', test: 'node --test' } }, undefined, 2)}\n`,
  'server.js': `import { createServer } from 'node:http';
import { greeting } from './greeting.js';

const server = createServer((request, response) => {
  response.setHeader('content-type', 'text/plain; charset=utf-8');
  response.end(request.url === '/healthz' ? 'ok\\n' : greeting(process.env.GREETING));
});
server.listen(Number(process.env.PORT ?? 3000), '0.0.0.0', () => console.log('listening on port', server.address().port));
process.on('SIGTERM', () => server.close(() => process.exit(0)));
`,
  'greeting.js': "export const greeting = (name = 'world') => `Hello, ${name}\\n`;\n",
  'greeting.test.js': `import assert from 'node:assert/strict';
import { test } from 'node:test';
import { greeting } from './greeting.js';

test('greets by name', () => assert.equal(greeting('Nix'), 'Hello, Nix\\n'));
`,
  'kiln.toml': '[build]\ntest = "npm test"\n\n[health]\nhttp = "/healthz"\n',
};
