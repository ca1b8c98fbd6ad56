// @fastify/session with its documented settings: in the memory of the process, or in Redis when a port is given.
import cookie from '@fastify/cookie';
import session from '@fastify/session';
import fastify from 'fastify';
import { announce, collectCookies, users } from './listen.mjs';
import { openRedisStore } from './redis-store.mjs';

const redisPort = process.argv[2];
const app = fastify();
app.register(cookie);
app.register(session, {
  secret: 'a secret of the benchmark that is long enough',
  cookie: { secure: false },
  saveUninitialized: false,
  ...(redisPort === undefined ? {} : { store: await openRedisStore(redisPort) }),
});
app.post('/login', async (request) => {
  request.session.user = users.find((user) => user.login === request.body.login);
  return { success: true };
});
app.get('/session', async (request, reply) => {
  const { user } = request.session;
  if (user === undefined) return reply.code(401).send({ success: false });
  return { success: true, data: { ...user, expiresAt: request.session.cookie.expires ?? null } };
});
await app.listen({ host: '127.0.0.1', port: 0 });
const { port } = app.server.address();
announce(port, { method: 'GET', path: '/session', requests: await collectCookies(port), contains: '"login":"bench' });
