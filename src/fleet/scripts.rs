//! The scripts that Redis runs, each as one step that no other command interrupts. Redis keeps them by their digest.

use std::sync::LazyLock;

use redis::Script;

macro_rules! script {
    ($($file:literal),+) => {
        LazyLock::new(|| Script::new(concat!($(include_str!(concat!("scripts/", $file))),+)))
    };
}

pub(super) static BEGIN: LazyLock<Script> = script!("clock.lua", "budget.lua", "begin.lua");
pub(super) static CALL: LazyLock<Script> = script!("clock.lua", "budget.lua", "call.lua");
pub(super) static CATCH_UP: LazyLock<Script> = script!("clock.lua", "catch_up.lua");
pub(super) static CHANGE: LazyLock<Script> = script!("clock.lua", "change.lua");
pub(super) static COMMIT: LazyLock<Script> = script!("clock.lua", "commit.lua");
pub(super) static READ: LazyLock<Script> = script!("clock.lua", "read.lua");
pub(super) static REPLICA: LazyLock<Script> = script!("clock.lua", "replica.lua");
