//! The scoring as a guest in Rust, by docs/plugin-abi.md, with the standard library
//! and nothing else. The table is decoded once, into rows.
use std::cell::RefCell;

#[link(wasm_import_module = "gchost")]
extern "C" {
    fn input_read(to: *mut u8, cap: u32) -> u32;
    fn output_write(from: *const u8, len: u32);
}

type Pair = (Vec<u8>, Vec<u8>);

struct Row {
    labels: Vec<Pair>,
    leads: i64,
    free: i64,
    unfit: bool,
}

#[derive(Default)]
struct State {
    epoch: u64,
    rows: Option<Vec<Row>>,
    input: Vec<u8>,
    scores: Vec<u8>,
}

thread_local! { static STATE: RefCell<State> = RefCell::new(State::default()); }

struct Bad;

struct Reader<'a>(&'a [u8]);

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Other,
}

impl<'a> Reader<'a> {
    fn varint(&mut self) -> Result<u64, Bad> {
        let mut v = 0;
        for i in 0..10 {
            let (&x, rest) = self.0.split_first().ok_or(Bad)?;
            self.0 = rest;
            if i == 9 && x > 1 {
                return Err(Bad);
            }
            v |= u64::from(x & 0x7f) << (7 * i);
            if x < 0x80 {
                return Ok(v);
            }
        }
        Err(Bad)
    }

    fn take(&mut self, n: u64) -> Result<&'a [u8], Bad> {
        if n > self.0.len() as u64 {
            return Err(Bad);
        }
        let (head, rest) = self.0.split_at(n as usize);
        self.0 = rest;
        Ok(head)
    }

    fn next(&mut self) -> Result<Option<(u64, Value<'a>)>, Bad> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Number(self.varint()?),
            2 => {
                let n = self.varint()?;
                Value::Bytes(self.take(n)?)
            }
            1 => self.take(8).map(|_| Value::Other)?,
            5 => self.take(4).map(|_| Value::Other)?,
            _ => return Err(Bad),
        };
        Ok(Some((tag >> 3, value)))
    }
}

fn label(in_: &[u8]) -> Result<Pair, Bad> {
    let (mut r, mut l) = (Reader(in_), Pair::default());
    while let Some(f) = r.next()? {
        match f {
            (1, Value::Bytes(b)) => l.0 = b.to_vec(),
            (2, Value::Bytes(b)) => l.1 = b.to_vec(),
            _ => {}
        }
    }
    Ok(l)
}

fn row(in_: &[u8]) -> Result<Row, Bad> {
    let mut c = Row { labels: Vec::new(), leads: 0, free: 0, unfit: true };
    let (mut r, mut cordoned, mut healthy) = (Reader(in_), false, false);
    while let Some(f) = r.next()? {
        match f {
            (2, Value::Bytes(b)) => c.labels.push(label(b)?),
            (4, Value::Number(v)) => c.leads = v as i64,
            (8, Value::Number(v)) => c.free = v as i64,
            (10, Value::Number(v)) => cordoned = v != 0,
            (11, Value::Number(v)) => healthy = v != 0,
            _ => {}
        }
    }
    c.unfit = cordoned || !healthy;
    Ok(c)
}

fn has(c: &Row, want: &Pair) -> bool {
    c.labels.iter().find(|l| l.0 == want.0).map_or(false, |l| l.1 == want.1)
}

fn put(to: &mut Vec<u8>, mut v: u64) {
    while v >= 0x80 {
        to.push(v as u8 | 0x80);
        v >>= 7;
    }
    to.push(v as u8);
}

fn output(b: &[u8]) {
    unsafe { output_write(b.as_ptr(), b.len() as u32) }
}

fn fail(code: &str) -> i32 {
    output(&[1 << 3 | 2, code.len() as u8]);
    output(code.as_bytes());
    1
}

fn read(into: &mut Vec<u8>, len: u32) {
    into.resize(len as usize, 0);
    let mut n = 0;
    while n < into.len() {
        let got = unsafe { input_read(into[n..].as_mut_ptr(), (into.len() - n) as u32) };
        if got == 0 {
            break;
        }
        n += got as usize;
    }
    into.truncate(n);
}

fn keep(s: &mut State) -> Result<bool, Bad> {
    let (mut r, mut base, mut rows) = (Reader(&s.input), 0, Vec::new());
    s.epoch = 0;
    while let Some(f) = r.next()? {
        match f {
            (1, Value::Number(v)) => base = v,
            (2, Value::Number(v)) => s.epoch = v,
            (3, Value::Bytes(b)) => rows.push(row(b)?),
            _ => {}
        }
    }
    s.rows = if base == 0 { Some(rows) } else { None };
    Ok(base == 0)
}

fn score(s: &mut State) -> Result<bool, Bad> {
    let (mut r, mut asked, mut apps) = (Reader(&s.input), 0, Vec::new());
    while let Some(f) = r.next()? {
        match f {
            (1, Value::Number(v)) => asked = v,
            (2, Value::Bytes(b)) => apps.push(b),
            _ => {}
        }
    }
    let rows = match &s.rows {
        Some(rows) if asked == s.epoch => rows,
        _ => return Ok(false),
    };
    s.scores.clear();
    for app in apps {
        let (mut a, mut requires, mut prefers) = (Reader(app), Vec::new(), Vec::new());
        while let Some(f) = a.next()? {
            match f {
                (3, Value::Bytes(b)) => requires.push(label(b)?),
                (4, Value::Bytes(b)) => prefers.push(label(b)?),
                _ => {}
            }
        }
        for c in rows {
            let v = if c.unfit || requires.iter().any(|l| !has(c, l)) {
                -1
            } else {
                let liked = prefers.iter().filter(|l| has(c, l)).count() as i64;
                i64::max(0, (c.free >> 30) - c.leads + 100 * liked)
            };
            put(&mut s.scores, (v << 1 ^ v >> 63) as u64);
        }
    }
    Ok(true)
}

fn call(len: u32, work: fn(&mut State) -> Result<bool, Bad>, answers: bool) -> i32 {
    STATE.with(|s| {
        let s = &mut *s.borrow_mut();
        read(&mut s.input, len);
        match work(s) {
            Err(Bad) => fail("invalid argument"),
            Ok(false) => fail("stale table"),
            Ok(true) => {
                if answers {
                    let mut head = vec![1 << 3 | 2];
                    put(&mut head, s.scores.len() as u64);
                    output(&head);
                    output(&s.scores);
                }
                0
            }
        }
    })
}

#[no_mangle]
pub extern "C" fn gchost_abi_v1() {}

#[no_mangle]
pub extern "C" fn gc_describe(_len: u32) -> i32 {
    output(b"\x0a\x09placement\x12\x05bench\x1a\x051.0.0");
    0
}

#[no_mangle]
pub extern "C" fn gc_candidates(len: u32) -> i32 {
    call(len, keep, false)
}

#[no_mangle]
pub extern "C" fn gc_rank(len: u32) -> i32 {
    call(len, score, true)
}
