// better-auth with e-mail and password over SQLite, in the folder given. Its rate limit is off, as Cardea's is out of the way.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { betterAuth } from 'better-auth';
import { getMigrations } from 'better-auth/db/migration';
import { toNodeHandler } from 'better-auth/node';
import Database from 'better-sqlite3';
import { announce, users } from './listen.mjs';

const database = new Database(join(process.argv[2], 'better-auth.db'));
database.pragma('journal_mode = WAL');
let handler;
const server = createServer((request, response) => handler(request, response)).listen(0, '127.0.0.1');
await once(server, 'listening');
const { port } = server.address();
const auth = betterAuth({
  baseURL: `http://127.0.0.1:${port}`,
  secret: 'a secret of the benchmark that is long enough',
  database,
  emailAndPassword: { enabled: true },
  rateLimit: { enabled: false },
  telemetry: { enabled: false },
});
await (await getMigrations(auth.options)).runMigrations();
handler = toNodeHandler(auth);
const requests = [];
for (const { login } of users) {
  const body = { email: login, password: 'correct-horse-battery-7', name: 'Bench User' };
  const { headers } = await auth.api.signUpEmail({ body, returnHeaders: true });
  const cookies = headers.getSetCookie().map((cookie) => cookie.split(';')[0]);
  requests.push({ headers: { Cookie: cookies.join('; ') } });
}
announce(port, { method: 'GET', path: '/api/auth/get-session', requests, contains: '"email":"bench' });
