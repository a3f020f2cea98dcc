use super::*;
use crate::wsl::path::{to_linux, to_windows};

/// In the form that distributions of WSL 2 print, with drives at places of their own, a share and other mounts.
const WSL2: &str = r"none /usr/lib/modules/5.15.167.4-microsoft-standard-WSL2 overlay rw,nosuid 0 0
/dev/sdd / ext4 rw,relatime,discard,errors=remount-ro,data=ordered 0 0
drivers /usr/lib/wsl/drivers 9p ro,nosuid,nodev,noatime,aname=drivers;fmask=222;dmask=222,cache=5,access=client,msize=65536,trans=fd,rfd=7,wfd=7 0 0
C:\134 /mnt/c 9p rw,noatime,aname=drvfs;path=C:\;uid=1000;gid=1000;symlinkroot=/mnt/,cache=5,access=client,msize=65536,trans=fd,rfd=4,wfd=4 0 0
drvfs /data/my\040models 9p rw,dirsync,aname=drvfs;path=E:\134models\134new;uid=0,mmap,trans=virtio 0 0
E: /mnt/e 9p rw,relatime,aname=drvfs;path=E:;symlinkroot=/mnt/,cache=5,trans=fd,rfd=3,wfd=3 0 0
\134\134nas\134models /mnt/nas 9p rw,relatime,aname=drvfs;path=UNC\nas\models;symlinkroot=/mnt/,trans=fd 0 0
\134\134nas\134other /mnt/other drvfs rw,relatime 0 0
";

#[test]
fn what_is_mounted_counts_before_the_rule() {
    let mounts = Mounts::read(WSL2, "[automount]\nroot = /windir\n");
    let linux = |text: &str| to_linux(text, &mounts, Some("Ubuntu"));
    assert_eq!(linux(r"c:\Users\me").as_deref(), Ok("/mnt/c/Users/me"));
    assert_eq!(linux(r"E:\x").as_deref(), Ok("/mnt/e/x"));
    assert_eq!(linux(r"E:\Models\NEW\glm").as_deref(), Ok("/data/my models/glm"), "the deepest mount");
    assert_eq!(linux(r"D:\models").as_deref(), Ok("/windir/d/models"), "by the rule");
    assert_eq!(linux(r"\\NAS\other\glm").as_deref(), Ok("/mnt/other/glm"));
    assert_eq!(linux(r"\\nas\Models\glm").as_deref(), Ok("/mnt/nas/glm"));
    assert!(mounts.has('C') && mounts.has('E') && !mounts.has('D'));
    let windows = |text: &str| to_windows(text, &mounts, "Ubuntu").unwrap();
    assert_eq!(windows("/mnt/c/Users"), r"C:\Users");
    assert_eq!(windows("/data/my models/glm"), r"E:\models\new\glm");
    assert_eq!(windows("/mnt/other/glm"), r"\\nas\other\glm");
    assert_eq!(windows("/windir/d"), r"D:\");
    assert_eq!(windows("/windir/c/x"), r"\\wsl$\Ubuntu\windir\c\x", "C: is elsewhere");
}

#[test]
fn wsl_1_and_broken_lines_are_read_as_far_as_they_go() {
    let mounts = Mounts::read(
        "C: /mnt/c drvfs rw,noatime,uid=1000,case=off 0 0\nC:\\134\n \n/dev/sda / ext4 rw 0 0\nD: relative drvfs rw 0 0\n",
        "",
    );
    assert_eq!(to_linux(r"C:\x", &mounts, None).as_deref(), Ok("/mnt/c/x"));
    assert!(!mounts.has('D'));
    assert_eq!(unescaped(r"a\040b\134c\9d\04\777\"), "a b\\c\\9d\\04\\777\\");
}
