// Runs inside a container's network: forwards each connection of a socket file to a port on its loopback.
// Arguments: socket file, port. Plain JavaScript so that it starts as fast as Node can.
import { connect, createServer } from 'node:net';

const [socketFile, port] = process.argv.slice(2);
const server = createServer({ allowHalfOpen: true }, (outside) => {
  const inside = connect({ host: '127.0.0.1', port: Number(port), allowHalfOpen: true });
  const close = () => {
    outside.destroy();
    inside.destroy();
  };
  outside.on('error', close);
  inside.on('error', close);
  outside.pipe(inside);
  inside.pipe(outside);
});
server.listen(socketFile, () => process.stdout.write('ready\n'));
process.stdin.on('end', () => process.exit(0)).resume();
