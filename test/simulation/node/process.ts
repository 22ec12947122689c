// In place of node:process: the time of the world.
import { kernel } from '../kernel.ts';

export const hrtime = (): [number, number] => {
  const { now } = kernel();
  return [Math.floor(now / 1000), Math.floor((now % 1000) * 1e6)];
};
