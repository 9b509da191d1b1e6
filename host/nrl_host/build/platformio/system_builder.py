"""Build script of the local platforms, which PlatformIO runs inside SCons: the system's compiler, the project's flags.

Upstream's platforms add flags of their own; this one adds none, so that an image is what the project says and nothing
else. It is copied into PlatformIO's core folder as it stands, and is imported by nothing here.
"""

from SCons.Script import AlwaysBuild, Default, DefaultEnvironment

environment = DefaultEnvironment()

if "BOARD" in environment:
    board = environment.BoardConfig()
    prefix = board.get("build.toolchain") + "-"
    environment.Replace(
        AR=prefix + "ar",
        AS=prefix + "as",
        CC=prefix + "gcc",
        CXX=prefix + "g++",
        LINK=prefix + "gcc",
        OBJCOPY=prefix + "objcopy",
        RANLIB=prefix + "ranlib",
        SIZETOOL=prefix + "size",
        PROGNAME="firmware",
        PROGSUFFIX=".elf",
    )
    program = environment.BuildProgram()
    images = [
        environment.Command(
            f"$BUILD_DIR/firmware.{suffix}", program, f"$OBJCOPY -O {target} -R .eeprom $SOURCE $TARGET"
        )
        for suffix, target in (("hex", "ihex"), ("bin", "binary"))
    ]
    command = board.get("upload.command", "")
    if command:
        environment.Replace(UPLOADCMD=command)
        upload = environment.VerboseAction("$UPLOADCMD", "Uploading $SOURCE")
        AlwaysBuild(environment.Alias("upload", [program, *images], upload))
    Default([program, *images])
else:
    environment.Replace(PROGNAME="program")
    Default(environment.BuildProgram())
