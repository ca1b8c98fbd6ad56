// express-session over connect-redis, with their documented settings.
import { once } from 'node:events';
import express from 'express';
import session from 'express-session';
import { announce, collectCookies, users } from './listen.mjs';
import { openRedisStore } from './redis-store.mjs';

const app = express();
app.use(
  session({
    store: await openRedisStore(process.argv[2]),
    secret: 'a secret of the benchmark that is long enough',
    resave: false,
    saveUninitialized: false,
  }),
);
app.post('/login', express.json(), (request, response) => {
  request.session.user = users.find((user) => user.login === request.body.login);
  response.json({ success: true });
});
app.get('/session', (request, response) => {
  const { user } = request.session;
  if (user === undefined) return response.status(401).json({ success: false });
  return response.json({ success: true, data: { ...user, expiresAt: request.session.cookie.expires ?? null } });
});
const server = app.listen(0, '127.0.0.1');
await once(server, 'listening');
const { port } = server.address();
announce(port, { method: 'GET', path: '/session', requests: await collectCookies(port), contains: '"login":"bench' });
