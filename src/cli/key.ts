import type { Command } from 'commander';
import { generateApiKey, revokeApiKey } from '../core/index.ts';
import { printJson, printLine } from './output.ts';
import { changeWithCore, localCaller, requireUser, UsageError } from './with-core.ts';

type JsonFlag = { readonly json?: boolean };

export function addKeyCommands(program: Command): void {
  const key = program.command('key').description('API keys: generate, revoke');
  key
    .command('generate <user>')
    .description('give a user (login or id) a new API key, shown once; the old one is dead at once')
    .option('--json', 'print JSON')
    .action(generate);
  key
    .command('revoke <user>')
    .description("end a user's API key and the sessions opened with it")
    .option('--json', 'print JSON')
    .action(revoke);
}

async function generate(name: string, flags: JsonFlag): Promise<void> {
  const { user, key } = await changeWithCore(async (core) => {
    const target = await requireUser(core, name);
    return { user: target, key: await generateApiKey(core, 'system', target.id, localCaller()) };
  });
  if (flags.json === true) return printJson({ id: user.id, login: user.login, key });
  printLine(`API key of user ${user.id} ${user.login}, shown this once: ${key}`);
}

async function revoke(name: string, flags: JsonFlag): Promise<void> {
  const { user, revoked } = await changeWithCore(async (core) => {
    const target = await requireUser(core, name);
    return { user: target, revoked: await revokeApiKey(core, 'system', target.id, localCaller()) };
  });
  if (!revoked) throw new UsageError(`User ${user.id} ${user.login} has no API key.`);
  if (flags.json === true) return printJson({ id: user.id, login: user.login, revoked });
  printLine(`Revoked the API key of user ${user.id} ${user.login}.`);
}
