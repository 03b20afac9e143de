"""Interrupting a cell as Jupyter does: variables stay where the cell looks for interrupts. Needs the kernel and the
compiled crate, and takes half a minute."""

import queue
import sys
import time
import unittest
from pathlib import Path

from jupyter_client.manager import start_new_kernel

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
LOAD = ':dep transfer = { path = "../crate" }\nuse transfer::progress::stop_requested;\nlet kept: u64 = 41;'
SLEEP = "std::thread::sleep(std::time::Duration::from_millis(10));"
# Like a training: it looks after each step. The first look starts listening, and an interrupt before it is ignored.
LOOKS = f'stop_requested(); println!("begins"); while !stop_requested() {{ {SLEEP} }} println!("was asked to stop");'
DOES_NOT_LOOK = f'stop_requested(); println!("begins"); loop {{ {SLEEP} }}'
TIMEOUT_S = 900


@unittest.skipUnless(sys.platform == "linux", "elsewhere an interrupt ends the process that runs the cells")
class Interrupt(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.manager, cls.client = start_new_kernel(kernel_name="rust", startup_timeout=180, cwd=str(NOTEBOOKS))

    @classmethod
    def tearDownClass(cls):
        cls.client.stop_channels()
        cls.manager.shutdown_kernel(now=True)

    def begin(self, code):
        """Starts a cell, and waits until it prints its first line."""
        message = self.client.execute(code)
        return self.gather(message, until="begins")

    def gather(self, message, until=None):
        """The id of a cell, its status and what it printed, once it ended or printed `until`."""
        printed, deadline = "", time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline:
            try:
                got = self.client.get_iopub_msg(timeout=1)
            except queue.Empty:
                continue
            if got["parent_header"].get("msg_id") != message:
                continue
            if got["msg_type"] == "stream":
                printed += got["content"]["text"]
                if until and until in printed:
                    return message, None, printed
            if got["msg_type"] == "status" and got["content"]["execution_state"] == "idle":
                return message, self.reply_to(message)["content"]["status"], printed
        self.fail(f"the cell neither ended nor printed {until!r}; it printed {printed!r}")

    def reply_to(self, message):
        while True:
            reply = self.client.get_shell_msg(timeout=10)
            if reply["parent_header"].get("msg_id") == message:
                return reply

    def run_cell(self, code):
        _, status, printed = self.gather(self.client.execute(code))
        return status, printed

    def test_a_cell_that_looks_stops_and_variables_stay_and_another_ends_at_the_second(self):
        self.assertEqual(self.run_cell(LOAD), ("ok", ""))
        for _ in range(2):
            message, status, printed = self.begin(LOOKS)
            self.assertIsNone(status, printed)
            self.manager.interrupt_kernel()
            self.assertEqual(self.gather(message)[1:], ("ok", "was asked to stop\n"))
        later = 'println!("{} {}", kept + 1, stop_requested());'
        self.assertEqual(self.run_cell(later), ("ok", "42 false\n"), "meant for the cell before")
        self.manager.interrupt_kernel()
        self.assertEqual(self.run_cell(later), ("ok", "42 false\n"), "nothing was running")

        message, status, printed = self.begin(DOES_NOT_LOOK)
        self.assertIsNone(status, printed)
        self.manager.interrupt_kernel()
        time.sleep(0.5)
        self.manager.interrupt_kernel()
        self.assertEqual(self.gather(message)[1], "error")
        status, _ = self.run_cell("let again: u64 = 5;")
        self.assertEqual(status, "ok", "the kernel goes on, with a new process")


if __name__ == "__main__":
    unittest.main()
