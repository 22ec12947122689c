/** Seconds of pause between attempts at most: `--connect-retry 1 5`. */
const LONGEST_PAUSE = 5;
/** Failures that don't make the pause longer. */
const PATIENCE = 4;

/** Whether a daemon waits to be released, and how long it pauses after failures. */
export class Hold {
  /** It waits to be released. */
  isOn = false;
  /** It has said so. */
  isTold = false;
  /** Since the tunnel was up. */
  failures = 0;
  /** It was released before it had said that it waits. */
  #isReleasedEarly = false;

  begin(isHeld: boolean): void {
    this.isOn = isHeld;
    this.isTold = false;
    this.#isReleasedEarly = false;
  }

  /** Seconds between two attempts: twice as many with each from the fifth failure on. */
  get pause(): number {
    return this.failures === 0 ? 0 : Math.min(2 ** Math.max(0, this.failures - PATIENCE), LONGEST_PAUSE);
  }

  /** @returns whether it goes on now */
  release(): boolean {
    if (!this.isOn) return false;
    this.#isReleasedEarly = !this.isTold;
    if (!this.isTold) return false;
    this.isOn = false;
    return true;
  }

  /** Something came in: a release of before it had said that it waits counts only now. @returns whether it goes on */
  wake(): boolean {
    return this.#isReleasedEarly && this.isTold && this.release();
  }
}
