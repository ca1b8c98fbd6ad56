// Answers one body to one path, on a bare `Bun.serve` route. Called with the file of the body, its type and the path.
import { readFileSync } from 'node:fs';

const [file = '', type = '', path = '/'] = process.argv.slice(2);
const body = readFileSync(file, 'latin1');
const headers = { 'Content-Type': type };
const server = Bun.serve({
  hostname: '127.0.0.1',
  port: 0,
  routes: { [path]: () => new Response(body, { headers }) },
  fetch: () => new Response(null, { status: 404 }),
});
process.stdout.write(`{"port":${server.port}}\n`);
