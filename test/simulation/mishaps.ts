// How mishaps come about.
import { kernel } from './kernel.ts';
import { mishaps as hostMishaps } from './module-host.ts';
import type { Mishap } from './plan.ts';
import { Random } from './random.ts';
import { logOf, modulePath, pinPath, relayPath, settingsOf } from './settings.ts';
import { modules } from './module.ts';
import type { Token } from './token.ts';
import { Visitor } from './visitor.ts';
import type { World } from './world.ts';

const later = (milliseconds: number, call: () => void): void => {
  kernel().after(milliseconds, call);
};

/** Where a token is, and what else is there. */
function slotOf(world: World, index: number): { slots: (Token | undefined)[]; at: number } | undefined {
  const token = world.tokens[index];
  const spare = world.spares[index];
  const module = world.plan.tokens[index]?.module ?? 0;
  const slots = modules.get(modulePath(module))?.slots;
  if (!token || !spare || !slots) return undefined;
  const at = slots.findIndex((each) => each === token || each === spare);
  return at < 0 ? undefined : { slots, at };
}

function pull(world: World, index: number, lasts: number, isSwapped: boolean): void {
  const token = world.tokens[index];
  const found = slotOf(world, index);
  if (!token || found?.slots[found.at] !== token) return;
  const { slots, at } = found;
  slots[at] = undefined;
  token.insertions += 1;
  const spare = world.spares[index];
  if (isSwapped && spare) {
    later(lasts / 4, () => {
      slots[at] = spare;
    });
    later(lasts * 0.75, () => {
      slots[at] = undefined;
      spare.insertions += 1;
    });
  }
  later(lasts, () => {
    slots[at] = token;
  });
}

function writePin(world: World, index: number, text: string | undefined): void {
  const { folder, name } = world.disk.find(pinPath(index), 'open');
  if (text === undefined) folder.set([name, undefined]);
  else world.disk.put(pinPath(index), `${text}\n`);
}

/** Which token a key was found in counts until it is opened anew. */
export function forgetOpened({ tokens, spares }: World): void {
  for (const token of [...tokens, ...spares]) token.isNotFor = undefined;
}

function reload(world: World, variant: number): void {
  const { agent } = world.runs;
  if (!agent || !world.runs.isUp) return;
  world.variant = variant;
  forgetOpened(world);
  world.logs.add(logOf(variant));
  // what is renewed is not served for a moment
  world.trouble(10_000);
  agent.apply(settingsOf(world.plan, variant)).catch((error: unknown) => {
    kernel().say('agent', `reload fails: ${String(error)}`);
  });
}

export function befall(world: World, mishap: Mishap): void {
  const { runs, disk } = world;
  const daemon = 'tunnel' in mishap ? world.daemons[mishap.tunnel] : undefined;
  switch (mishap.type) {
    case 'cut':
      daemon?.peer?.reset();
      break;
    case 'cut after':
      if (daemon?.peer) daemon.peer.cutAfter = mishap.bytes;
      break;
    case 'restart':
      daemon?.restart();
      break;
    case 'repeat':
      daemon?.askTwice();
      break;
    case 'half request':
      daemon?.sendLast('>PK_SIGN:AAAA');
      later(5, () => daemon?.peer?.reset());
      break;
    case 'nonsense':
      // one that is deaf has yet to answer: this would be taken for its answers
      if (daemon?.peer?.isDeaf === true) break;
      daemon?.send(">LOG:\r\nwhatever\r\n>PASSWORD:Verification Failed: 'x'\r\nSUCCESS: pid=\r\n\0\xff\r\n");
      break;
    case 'deaf': {
      const peer = daemon?.peer;
      if (!peer) break;
      peer.isDeaf = true;
      later(mishap.lasts, () => {
        peer.listen();
      });
      break;
    }
    case 'daemon down':
      daemon?.stop(mishap.isTidy);
      later(mishap.lasts, () => daemon?.start());
      break;
    case 'host': {
      const { effect, call, milliseconds, times = 1 } = mishap;
      const one = effect === 'no start' ? ({ effect, call: 'load' } as const) : { effect, call, milliseconds };
      for (let time = 0; time < times; time += 1) hostMishaps.push(one);
      break;
    }
    case 'ckr': {
      const failing = modules.get(modulePath(mishap.module))?.failing;
      failing?.set(mishap.method, [...(failing.get(mishap.method) ?? []), mishap.ckr]);
      break;
    }
    case 'wrong signature': {
      const file = modules.get(modulePath(mishap.module));
      if (file) file.wrongSignatures += 1;
      break;
    }
    case 'pull':
    case 'swap':
      pull(world, mishap.token, mishap.lasts, mishap.type === 'swap');
      break;
    case 'tries spent': {
      const token = world.tokens[mishap.token];
      if (token && token.tries > 0) {
        token.tries -= 1;
        token.spentAt = kernel().now;
      }
      break;
    }
    case 'wrong PIN':
    case 'no PIN':
      writePin(world, mishap.token, mishap.type === 'no PIN' ? undefined : 'wrong-pin');
      later(mishap.lasts, () => {
        writePin(world, mishap.token, world.tokens[mishap.token]?.pin);
      });
      break;
    case 'disk full':
      disk.isFull = true;
      world.breakDisk(mishap.lasts + 5_000);
      later(mishap.lasts, () => {
        disk.isFull = false;
      });
      break;
    case 'syncs fail':
      disk.failingSyncs += mishap.times;
      world.breakDisk(60_000);
      break;
    case 'writes fail':
      disk.failingWrites += mishap.times;
      world.breakDisk(60_000);
      break;
    case 'disk hangs':
      disk.hang = mishap.hang;
      world.breakDisk(mishap.lasts + 10 * mishap.hang);
      later(mishap.lasts, () => {
        disk.hang = 0;
      });
      break;
    case 'clock jumps':
      kernel().wallOffset += mishap.by;
      break;
    case 'reload':
      reload(world, mishap.variant);
      break;
    case 'stop':
      world.trouble(5_000);
      void runs.stop().then(() => {
        later(mishap.lasts, () => {
          if (!world.isOver) runs.start();
        });
      });
      break;
    case 'stop at':
      world.stopAt = mishap;
      for (const each of world.daemons) each.interval = 700;
      break;
    case 'power loss at': {
      let left = mishap.skipped;
      disk.watcher = (moment) => {
        if (moment !== mishap.moment || world.isCalm) return;
        left -= 1;
        if (left >= 0) return;
        disk.watcher = () => undefined;
        // what was done is done, and nobody has heard of it
        later(0, () => {
          befall(world, { at: mishap.at, type: 'power loss', lasts: mishap.lasts });
        });
      };
      break;
    }
    case 'kill':
    case 'power loss':
      world.trouble(5_000 + mishap.lasts);
      runs.kill(mishap.type === 'power loss');
      if (mishap.type === 'power loss') restartDaemons(world, mishap.lasts);
      later(mishap.lasts, () => {
        runs.start();
      });
      break;
    case 'lock':
      lock(world, mishap.lasts);
      break;
    case 'forget':
      void runs.agent?.forget();
      break;
    case 'refresh':
      void runs.agent?.refreshCertificates();
      break;
    case 'visit': {
      const { name, relay } = world.plan.tunnels[mishap.tunnel] ?? {};
      if (name === undefined || relay === undefined) break;
      const random = new Random(mishap.manner);
      for (let visitors = random.between(1, 3); visitors > 0; visitors -= 1)
        Visitor.come(relayPath(name), relay, random.below(1_000_000));
      break;
    }
  }
}

/** They are on the same machine. */
function restartDaemons({ daemons }: World, lasts: number): void {
  for (const [index, daemon] of daemons.entries()) {
    daemon.stop(false);
    later(lasts + index * 300, () => {
      daemon.start();
    });
  }
}

function lock(world: World, lasts: number): void {
  const { agent, process } = world.runs;
  if (!agent || !world.runs.isUp || Number.isFinite(world.lockedAt)) return;
  world.trouble(lasts + 2_000);
  void agent.lock(undefined);
  world.lockedAt = kernel().now;
  later(lasts, () => {
    world.lockedAt = Number.POSITIVE_INFINITY;
    if (process?.isAlive === true) void agent.unlock(undefined);
  });
}
