// Short words about what was just done, in a corner. What went wrong with a field stands beside the field instead.

export interface Notice {
  id: number;
  text: string;
  bad: boolean;
  /** What takes it back. */
  undo?: (() => void) | undefined;
}

const SHOWN_FOR = 6_000;
const MOST = 4;

class Notices {
  all: Notice[] = $state.raw([]);
  #next = 1;

  say(text: string, undo?: () => void): void {
    this.#show({ id: this.#next++, text, bad: false, undo });
  }

  /** Stays until it is closed. */
  complain(text: string): void {
    this.#show({ id: this.#next++, text, bad: true });
  }

  close(id: number): void {
    this.all = this.all.filter((each) => each.id !== id);
  }

  #show(notice: Notice): void {
    this.all = [...this.all.filter((each) => each.text !== notice.text), notice].slice(-MOST);
    if (!notice.bad) setTimeout(() => this.close(notice.id), SHOWN_FOR);
  }
}

export const notices = new Notices();
