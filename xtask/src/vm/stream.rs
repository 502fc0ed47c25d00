//! In: the bytes of a guest's serial console. Out: those between the two marks, at once, and the exit code that
//! the second mark carries; everything is also kept as a log, whose end says why a guest died.

const BEGIN: &[u8] = b"@@BEGIN\n";
const EXIT: &[u8] = b"\n@@EXIT ";
/// What is kept of the log.
const LOG_BYTES: usize = 8 << 20;
/// What the kernel says when something is badly wrong with it.
const COMPLAINTS: [&str; 9] = [
    "Oops",
    "BUG:",
    "Kernel panic",
    "general protection",
    "soft lockup",
    "rcu_sched detected stalls",
    "rcu_preempt detected stalls",
    "blocked for more than",
    "possible recursive locking",
];

/// Where in the guest's life the console is.
enum Phase {
    Boot,
    Job,
    /// The digits of the exit code are coming in.
    Exit(Vec<u8>),
    Done(Option<u8>),
}

/// A console that is being read.
pub struct Stream {
    phase: Phase,
    /// Bytes that may be the beginning of a mark.
    held: Vec<u8>,
    log: Vec<u8>,
}

impl Stream {
    pub fn new() -> Self {
        Self { phase: Phase::Boot, held: Vec::new(), log: Vec::new() }
    }

    /// Takes what came, and hands on what belongs to the job.
    pub fn feed(&mut self, bytes: &[u8], sink: &mut dyn FnMut(&[u8])) {
        if self.log.len() > LOG_BYTES {
            self.log.drain(..LOG_BYTES / 2);
        }
        self.log.extend_from_slice(bytes);
        self.held.extend_from_slice(bytes);
        while self.step(sink) {}
    }

    /// Whether there may be more to do with what is held.
    fn step(&mut self, sink: &mut dyn FnMut(&[u8])) -> bool {
        match &mut self.phase {
            Phase::Boot => {
                // The console's line ending is not ours yet.
                self.held.retain(|&byte| byte != b'\r');
                let Some(at) = position(&self.held, BEGIN) else { return false };
                self.held.drain(..at + BEGIN.len());
                self.phase = Phase::Job;
                true
            }
            Phase::Job => {
                let end = position(&self.held, EXIT);
                let hand_on = end.unwrap_or(self.held.len() - possible_beginning(&self.held, EXIT));
                if hand_on > 0 {
                    sink(&self.held[..hand_on]);
                }
                self.held.drain(..hand_on + end.map_or(0, |_| EXIT.len()));
                if end.is_some() {
                    self.phase = Phase::Exit(Vec::new());
                }
                end.is_some()
            }
            Phase::Exit(digits) => {
                digits.append(&mut self.held);
                let Some(end) = digits.iter().position(|&byte| byte == b'\n') else { return false };
                let code = std::str::from_utf8(&digits[..end]).ok().and_then(|text| text.trim().parse().ok());
                self.phase = Phase::Done(code);
                false
            }
            Phase::Done(_) => {
                self.held.clear();
                false
            }
        }
    }

    /// The job's exit code by the mark.
    pub fn code(&self) -> Option<u8> {
        if let Phase::Done(code) = self.phase { code } else { None }
    }

    /// Whether the guest came as far as the job.
    pub fn began(&self) -> bool {
        !matches!(self.phase, Phase::Boot)
    }

    pub fn log(&self) -> &[u8] {
        &self.log
    }

    /// The first line in which the kernel complains of itself.
    pub fn complaint(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.log);
        let found = text.lines().find(|line| COMPLAINTS.iter().any(|complaint| line.contains(complaint)));
        found.map(|line| line.trim().to_owned())
    }

    /// The last lines, without control characters.
    pub fn tail(&self, lines: usize) -> String {
        let text = String::from_utf8_lossy(&self.log);
        let all: Vec<&str> = text.lines().collect();
        let tail = all.iter().skip(all.len().saturating_sub(lines));
        tail.fold(String::new(), |text, line| {
            let clean: String = line.chars().filter(|letter| !letter.is_control()).collect();
            text + "  | " + &clean + "\n"
        })
    }
}

fn position(bytes: &[u8], mark: &[u8]) -> Option<usize> {
    bytes.windows(mark.len()).position(|window| window == mark)
}

/// How many of the last bytes are the first ones of the mark.
fn possible_beginning(bytes: &[u8], mark: &[u8]) -> usize {
    (1..mark.len()).rev().find(|&length| bytes.ends_with(&mark[..length])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fed(pieces: &[&str]) -> (String, Stream) {
        let (mut shown, mut stream) = (Vec::new(), Stream::new());
        for piece in pieces {
            stream.feed(piece.as_bytes(), &mut |bytes| shown.extend_from_slice(bytes));
        }
        (String::from_utf8(shown).unwrap(), stream)
    }

    #[test]
    fn only_the_job_is_shown_however_the_bytes_arrive() {
        let whole = "noise\r\n@@BEGIN\r\none\n@@EX\ntwo\n\n@@EXIT 7\nreboot\r\n";
        let (shown, stream) = fed(&[whole]);
        assert_eq!((shown.as_str(), stream.code()), ("one\n@@EX\ntwo\n", Some(7)));
        let bytes: Vec<String> = whole.chars().map(String::from).collect();
        let pieces: Vec<&str> = bytes.iter().map(String::as_str).collect();
        let (shown, stream) = fed(&pieces);
        assert_eq!((shown.as_str(), stream.code()), ("one\n@@EX\ntwo\n", Some(7)));
    }

    #[test]
    fn a_guest_that_dies_has_no_code() {
        let (shown, stream) = fed(&["@@BEGIN\nhalf", "\nKernel panic - not syncing\n"]);
        assert_eq!(shown, "half\nKernel panic - not syncing");
        assert_eq!(stream.code(), None);
        assert_eq!(stream.complaint().as_deref(), Some("Kernel panic - not syncing"));
        assert_eq!(fed(&["@@BEGIN\nx\n@@EXIT seven\n"]).1.code(), None);
    }

    #[test]
    fn prompts_are_shown_before_their_line_ends() {
        assert_eq!(fed(&["@@BEGIN\n~ # "]).0, "~ # ");
    }
}
